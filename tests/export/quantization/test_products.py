"""Which products can be quantised."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from embedkit_export.quantization import rowwise as quantize
from helpers.products import one_product


@pytest.mark.parametrize("shape", [("batch",), ("batch", 2), ("batch", 1)])
def test_pooled_vectors_stay_in_fp32(shape: tuple[Any, ...]) -> None:
    model = one_product(np.ones((32, 8), np.float32), shape=shape)
    assert quantize.products(model) == []
    assert quantize.rowwise_int8(model) == 0
    assert [node.op_type for node in model.graph] == ["MatMul"]


def test_a_fixed_number_of_tokens_is_quantised() -> None:
    assert len(quantize.products(one_product(np.ones((32, 8), np.float32), shape=("batch", 197)))) == 1
