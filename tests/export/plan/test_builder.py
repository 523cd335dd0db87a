"""What a recipe says is checked against the model."""

from __future__ import annotations

from pathlib import Path

import pytest

import embedkit_export
from embedkit import ExportError
from embedkit_export.recipes import recipe
from helpers import models


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return models.save("bert", tmp_path_factory.mktemp("recipe") / "bert")


def test_what_a_recipe_says_is_checked_against_the_model(folder: Path) -> None:
    for given, message in (
        (recipe.Recipe(stages=[{"kind": "linear", "weights": "none.safetensors:x"}]), "there is no such file"),
        (recipe.Recipe(stages=[{"kind": "linear", "weights": "checkpoint:nowhere"}]), "nothing under 'nowhere'"),
        (recipe.Recipe(matryoshka=[65]), "matryoshka: expected sizes up to 64, found 65"),
        (recipe.Recipe(pooling=recipe.Pooling(padding=True)), "give a fixed length"),
        (recipe.Recipe(pooling="mask"), "exactly one \\[MASK\\]"),
        (recipe.Recipe(max_tokens=2), "leave no room for text"),
        (recipe.Recipe(model_class="NoModel"), "no class 'NoModel'"),
    ):
        with pytest.raises(ExportError, match=message):
            embedkit_export.prepare(folder, recipe=given)
