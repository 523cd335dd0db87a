"""Stages as a recipe names them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from embedkit_export.recipes import stages


def test_the_kind_decides_and_defaults_hold() -> None:
    assert convert({"kind": "linear", "weights": "a:b"}) == stages.Linear(weights="a:b", activation="identity")
    assert convert({"kind": "latent_attention", "weights": "a"}).heads == 8
    assert convert({"kind": "normalize"}) == stages.Normalize()


def convert(table: Any) -> Any:
    return msgspec.convert(table, stages.Stage)


@pytest.mark.parametrize(
    "table",
    [{}, {"kind": "odd"}, {"kind": "linear"}, {"kind": "normalize", "p": 1}, {"kind": "activation", "function": "exp"}],
)
def test_what_is_no_stage_is_refused(table: Any) -> None:
    with pytest.raises(msgspec.ValidationError):
        convert(table)
