"""How a bundle is loaded and how items are encoded, each as one object."""

from __future__ import annotations

import dataclasses
import inspect

import numpy as np
import pytest

from embedkit import Encoder, InputError
from embedkit.runtime.options import EncodeOptions, LoadOptions


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, value) for name in ("device", "variant", "engine") for value in (None, 1, b"cpu")),
        *((name, value) for name in ("threads", "token_budget") for value in (0, -1, True, 1.0, "2")),
        ("on_truncate", "WARN"),
        ("on_truncate", None),
    ],
)
def test_what_says_nothing_sensible_is_named(name: str, value: object) -> None:
    with pytest.raises(InputError, match=f"^{name}: expected .*, found {value!r}"):
        LoadOptions(**{name: value})  # type: ignore[arg-type]


def test_defaults_are_those_of_load() -> None:
    parameters = inspect.signature(Encoder.load).parameters
    for field in dataclasses.fields(LoadOptions):
        assert parameters[field.name].default == field.default


def test_what_is_made_stays() -> None:
    options = LoadOptions(threads=3, token_budget=1, on_truncate="ignore")
    with pytest.raises(dataclasses.FrozenInstanceError):
        options.threads = 4  # type: ignore[misc]


@pytest.mark.parametrize("given", ["", "WARN", True, 0, ("warn",)])
def test_what_a_cut_item_may_not_give(encoder: Encoder, given: object) -> None:
    calls = (encoder.encode, encoder.encode_query, encoder.stream, encoder.encode_outputs, encoder.stream_outputs)
    for call in calls:
        with pytest.raises(InputError, match="on_truncate: expected 'warn', 'error' or 'ignore', found"):
            call(["a"], on_truncate=given)  # type: ignore[operator]


@pytest.mark.parametrize("given", ["warn", "error", "ignore", None])
def test_what_a_cut_item_may_give(encoder: Encoder, given: object) -> None:
    assert encoder.encode("a", on_truncate=given).shape == (8,)  # type: ignore[call-overload]


def test_defaults_are_those_of_encode() -> None:
    parameters = inspect.signature(Encoder.encode).parameters
    for field in dataclasses.fields(EncodeOptions):
        assert parameters[field.name].default == field.default
    assert {field.name for field in dataclasses.fields(EncodeOptions)} == {*parameters} - {"self", "texts", "progress"}


def test_the_object_gives_what_the_keywords_give(encoder: Encoder) -> None:
    options = EncodeOptions("query", dim=4, precision="float16")
    found = encoder.encode_with(["a", "b"], options)
    assert found.dtype == np.float16
    assert np.array_equal(found, encoder.encode(["a", "b"], role="query", dim=4, precision="float16"))
