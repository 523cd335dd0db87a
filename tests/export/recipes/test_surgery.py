"""The table of surgery in a recipe."""

from __future__ import annotations

import msgspec
import pytest

from embedkit_export.recipes.surgery import Average, Slerp, Surgery


def test_table() -> None:
    asked = msgspec.toml.decode(
        b"""
        select = "encoder_q"
        strip = ["module."]
        drop = ["cls"]
        layers = 2
        final_norm = true
        lora = ["adapters/a"]
        rename = { mlp = "pooler" }
        slerp = { with = "other", t = 0.5 }
        average = { with = ["b", "c"], weights = [2, 1, 1] }
        """,
        type=Surgery,
    )
    assert asked == Surgery(
        select="encoder_q",
        strip=["module."],
        drop=["cls"],
        layers=2,
        final_norm=True,
        lora=["adapters/a"],
        rename={"mlp": "pooler"},
        slerp=Slerp(other="other"),
        average=Average(others=["b", "c"], weights=[2.0, 1.0, 1.0]),
    )
    assert msgspec.to_builtins(Surgery(select="a", slerp=Slerp(other="b"))) == {"select": "a", "slerp": {"with": "b"}}
    for wrong in (
        {"selekt": "x"},
        {"final_norm": True},
        {"layers": 0},
        {"slerp": {"with": "a", "t": 1.5}},
        {"slerp": {"t": 0.5}},
        {"average": {"with": []}},
        {"average": {"with": ["a"], "weights": [1.0]}},
        {"average": {"with": ["a"], "weights": [1.0, -1.0]}},
    ):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(wrong, Surgery)
