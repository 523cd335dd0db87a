"""Sizes by number and by name."""

from __future__ import annotations

import onnx_ir as ir
import pytest

from embedkit_export.graphs.attention.sizes import Whole, dims, quadratic


def value(*sizes: int | str | None) -> ir.Value:
    return ir.Value(name="x", shape=ir.Shape(sizes))


def test_equal_sizes_have_one_spelling() -> None:
    assert dims(value("batch", "((tokens**2)//tokens)", 8)) == ["batch", "tokens", 8]
    assert dims(value("odd(tokens)")) == ["odd(tokens)"]


def test_sizes_that_are_unknown_are_never_equal() -> None:
    first, second = dims(value(None, None))
    assert first != second
    with pytest.raises(Whole):
        dims(ir.Value(name="x"))


def test_what_grows_with_the_square_of_the_length() -> None:
    assert quadratic(value("batch", 4, "tokens", "tokens"))
    assert not quadratic(value("batch", 4, 4, "tokens"))
    assert not quadratic(ir.Value(name="x"))
