"""Names of the graphs' tensors and of the variants, and types of arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

DENSE = "dense"
"""The name of the pooled vector."""


TOKENS = "tokens"
"""The name of the token vectors of which it is the mean."""


PIXELS = "pixels"
"""(batch, height, width, 3) uint8."""


SAMPLES, FEATURES = "samples", "features"
"""(batch, samples) float32 of sounds, and (batch, ...) the energies of their bands."""


IDS, MASK, POOL_MASK, TYPES, LENGTH = "input_ids", "attention_mask", "pool_mask", "token_type_ids", "length"


Floats = npt.NDArray[np.float32]


Feed = Mapping[str, npt.NDArray[Any]]


VARIANTS = ("fp32", "fp16", "int8", "w8", "w4")
