"""The recipes of models of sentence-transformers that read pictures."""

from __future__ import annotations

from pathlib import Path

import pytest

import embedkit_export
from embedkit import ExportError
from embedkit_export.recipes.recipe import Pooling
from helpers.pictured import FOLDERS


def test_pictures_alone(tmp_path: Path) -> None:
    found = embedkit_export.prepare(FOLDERS["alone"](tmp_path))
    assert found.recipe.pooling == Pooling(mode="mean")
    assert found.recipe.image.size == [32, 32]
    assert "pictures: modules Transformer, Pooling" in found.inferred.reasons


@pytest.mark.slow
def test_a_route_for_each(tmp_path: Path) -> None:
    found = embedkit_export.prepare(FOLDERS["routed"](tmp_path))
    assert {name: role.graph for name, role in found.plan.roles.items()} == {
        "default": "default",
        "query": "default",
        "text": "default",
        "document": "document",
        "image": "document",
    }
    assert {graph.dense.dim for graph in found.plan.graphs.values() if graph.dense} == {16}
    assert found.recipe.roles["image"].pooling == Pooling(mode="first")
    text = found.text()
    assert "Router" not in text
    assert "image: resize: size, resample of ViTImageProcessor" in text


def test_a_module_that_is_not_known(tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Transformer
    from sentence_transformers.sentence_transformer.modules import Pooling as Pooled

    folder = FOLDERS["alone"](tmp_path)
    first = Transformer(str(tmp_path / "vit"))
    strange = SentenceTransformer(modules=[first, Pooled(32, pooling_mode="weightedmean")], device="cpu")
    assert folder.is_dir()
    with pytest.raises(ExportError, match="pooling: of pictures expected some of cls, mean"):
        embedkit_export.prepare(strange)
