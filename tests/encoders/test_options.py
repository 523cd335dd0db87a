"""How items are encoded, as one object."""

from __future__ import annotations

import dataclasses
import inspect

import numpy as np
import pytest
from embedkit.encoders.options import EncodeOptions

from embedkit import Encoder, InputError


@pytest.mark.parametrize("given", ["warn", "error", "ignore", None])
def test_what_a_cut_item_may_give(given: str | None) -> None:
    assert EncodeOptions(on_truncate=given).on_truncate == given  # type: ignore[arg-type]


@pytest.mark.parametrize("given", ["", "WARN", True, 0, ("warn",)])
def test_what_it_may_not(given: object) -> None:
    with pytest.raises(InputError, match="on_truncate: expected 'warn', 'error' or 'ignore', found"):
        EncodeOptions(on_truncate=given)  # type: ignore[arg-type]


def test_defaults_are_those_of_the_call() -> None:
    parameters = inspect.signature(Encoder.encode).parameters
    for field in dataclasses.fields(EncodeOptions):
        assert parameters[field.name].default == field.default
    assert {field.name for field in dataclasses.fields(EncodeOptions)} == {*parameters} - {"self", "texts", "progress"}


def test_the_object_gives_what_the_keywords_give(encoder: Encoder) -> None:
    options = EncodeOptions("query", dim=4, precision="float16")
    found = encoder.encode_with(["a", "b"], options)
    assert found.dtype == np.float16
    assert np.array_equal(found, encoder.encode(["a", "b"], role="query", dim=4, precision="float16"))
