"""Which models can pool a part of a text by itself, and what is said of the others; what it gives: tests/export/test_late_chunks.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

import embedkit_export
from embedkit import ExportError, InputError
from embedkit_export.recipes.outputs import Tokens, checked_output
from embedkit_export.recipes.recipe import Recipe
from helpers import models

NORMALIZE = {"kind": "normalize"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = models.save("bert", tmp_path_factory.mktemp("late") / "bert")
    save_file({"weight": torch.eye(64)[:32].contiguous(), "bias": torch.ones(32)}, folder / "layer.safetensors")
    return folder


@pytest.mark.parametrize(
    "recipe",
    [
        {"stages": [NORMALIZE]},
        {},
        {"stages": [{"kind": "linear", "weights": "layer.safetensors"}, NORMALIZE]},
        {"pooling": {"mode": "mean", "without": ["special"]}, "matryoshka": [8]},
    ],
)
def test_means_and_linear_layers(folder: Path, recipe: dict[str, Any]) -> None:
    plan = embedkit_export.prepare(folder, recipe=Recipe(**recipe), late=True).plan
    outputs = plan.graphs["default"].outputs
    assert list(outputs) == ["dense", "tokens"]
    assert outputs["dense"].tokens == "tokens"
    assert (outputs["tokens"].kind, outputs["tokens"].dim) == ("tokens", outputs["dense"].dim)
    assert outputs["dense"].normalized == (recipe.get("stages", [])[-1:] == [NORMALIZE])


@pytest.mark.parametrize(
    ("recipe", "why"),
    [
        ({"pooling": "first"}, "the model pools by 'first', and no mean of tokens"),
        ({"pooling": {"mode": ["mean", "max"]}}, r"pools by 'mean \+ max'"),
        ({"pooling": "weighted_mean"}, "pools by 'weighted_mean'"),
        ({"pooling": torch.nn.Identity()}, r"pools by a module of its own \(Identity\)"),
        ({"pooling": {"mode": "mean", "masked": False}}, "pools more than the tokens of a text that `without` leaves"),
        ({"pooling": {"mode": "mean", "padding": True}, "pad": 64}, "pools more than the tokens"),
        ({"pad": 64, "padding": "read"}, "pools more than the tokens"),
        ({"stages": [NORMALIZE], "dim": 8}, "vectors are cut to 8 numbers"),
        (
            {"stages": [{"kind": "linear", "weights": "layer.safetensors", "activation": "tanh"}]},
            r"stage 1 \(Tanh\) of a mean is not the mean of what it makes of each token",
        ),
        ({"stages": [NORMALIZE, {"kind": "linear", "weights": "layer.safetensors"}]}, r"stage 1 \(Normalize\)"),
        ({"dense": False, "outputs": {"x": {"kind": "tokens"}}}, "the model gives no pooled vector"),
    ],
)
def test_others_are_refused_by_name(folder: Path, recipe: dict[str, Any], why: str) -> None:
    with pytest.raises(
        ExportError, match=f"late: .*{why}.*export it without late, and cut documents into plain chunks"
    ):
        embedkit_export.prepare(folder, recipe=Recipe(**recipe), late=True)


def test_pooled_tokens_have_no_stages_of_their_own() -> None:
    assert checked_output({"kind": "tokens", "pooled": True}, "states") == Tokens(pooled=True)
    for more in ({"stages": [NORMALIZE]}, {"layers": [0]}, {"count": 3}, {"part": "x"}):
        with pytest.raises(InputError, match="expected `pooled` alone"):
            checked_output({"kind": "tokens", "pooled": True, **more}, "states")
