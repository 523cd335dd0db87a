"""What a model of sounds is given by its own feature extractor: the reference for a bundle's steps."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from embedkit.bundle.frontends.audio import AudioFrontend
from embedkit.errors import ExportError
from embedkit.runtime.frontends.audio.waves import PreparedSound, at_rate, waveform_of
from embedkit_export.plan.plan import RolePlan
from embedkit_export.quiet import quiet, reason
from embedkit_export.tensors import FEATURES, SAMPLES

WAVE, MEL = 1e-5, 1e-3
"""The largest difference of a number that the graph is given: of standardised samples, and of the logarithms of energies."""


def given(frontend: AudioFrontend, extractor: Any, modality: Any, item: Any) -> dict[str, Tensor]:
    """The tensor of one item, by the name of the graph's input: by the model's own extractor where there is one and the clip is no
    longer than what is read (of longer ones some draw what they read), else by the definition."""
    name = SAMPLES if frontend.mel is None else FEATURES
    own = None if extractor is None or isinstance(item, PreparedSound) else _theirs(frontend, extractor, item)
    return {name: _mine(modality, item) if own is None else own}


def check_sound(role: str, planned: RolePlan, modality: Any, item: Any) -> None:
    """Raise `ExportError` where the steps of a role give other numbers than the model's own feature extractor."""
    frontend = planned.frontend
    assert isinstance(frontend, AudioFrontend)
    theirs = None if planned.processor is None else _theirs(frontend, planned.processor, item)
    if theirs is None:
        return
    mine = _mine(modality, item)
    difference = float((mine - theirs).abs().max()) if mine.shape == theirs.shape else float("inf")
    if not difference < (WAVE if frontend.mel is None else MEL):
        raise ExportError(
            f"role {role!r}: the steps give other numbers than {type(planned.processor).__name__}, by up to {difference:.2g}: it does more "
            "than its settings say; give `audio` in the recipe as a table, and the export takes its word"
        )


def _mine(modality: Any, item: Any) -> Tensor:
    found = modality.prepared([item])
    return torch.from_numpy(found["features"] if "features" in found else found["samples"])


def _theirs(frontend: AudioFrontend, extractor: Any, item: Any) -> Tensor | None:
    samples, rate = waveform_of(item)
    samples = at_rate(samples, rate, frontend.rate)
    if frontend.mel is not None and frontend.most is not None and len(samples) > frontend.most:
        return None
    try:
        with quiet():
            made = extractor(samples, sampling_rate=frontend.rate, return_tensors="np")
    except Exception as error:
        raise ExportError(
            f"{type(extractor).__name__} makes nothing of a sound of {len(samples):,} samples: {reason(error)}; mend the model's "
            "preprocessor_config.json, or give `audio` in the recipe as a table"
        ) from error
    values = np.asarray(made["input_features"] if "input_features" in made else made["input_values"], np.float32)
    if frontend.mel is not None and frontend.mel.planes == 1 and values.ndim == 4:
        values = values[:, :1]  # of a clip that is read in its length all planes are equal
    return torch.from_numpy(values)
