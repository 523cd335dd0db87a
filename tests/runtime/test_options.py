"""How a bundle is loaded, checked once."""

from __future__ import annotations

import dataclasses
import inspect

import pytest

from embedkit import Encoder, InputError
from embedkit.runtime.options import LoadOptions


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


def test_defaults_are_those_of_the_call() -> None:
    parameters = inspect.signature(Encoder.load).parameters
    for field in dataclasses.fields(LoadOptions):
        assert parameters[field.name].default == field.default


def test_what_is_made_stays() -> None:
    options = LoadOptions(threads=3, token_budget=1, on_truncate="ignore")
    with pytest.raises(dataclasses.FrozenInstanceError):
        options.threads = 4  # type: ignore[misc]
