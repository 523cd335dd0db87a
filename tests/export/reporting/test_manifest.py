"""What the manifest says of a plan."""

from __future__ import annotations

from typing import Any

import pytest

from embedkit.bundle.manifest import Manifest, Quality, Variant
from embedkit_export import Recipe, Role, prepare
from embedkit_export.reporting.manifest import Description
from helpers import models

FILES = {"default": "tokenizer.json", "query": "tokenizer.json", "document": "tokenizer.query.json"}


@pytest.fixture(scope="module")
def pair() -> tuple[Any, Any]:
    return models.make("bert")


def described(model: Any, **options: Any) -> Manifest:
    plan = prepare(model, **options)
    variant = {"fp32": Variant("model.fp32.onnx", Quality(9, 1e-6, 1.0, 1.0, 1.0), golden_cosine_min=1.0)}
    return Description(plan, FILES).manifest(dict.fromkeys(plan.plan.graphs, variant))


def test_a_role_without_a_graph_of_its_own_is_like_another(pair: tuple[Any, Any]) -> None:
    roles = {"query": Role(template="q: {text}"), "document": Role()}
    found = described(pair, recipe=Recipe(roles=roles), pooling="mean")
    assert found.schema == 1
    assert [name for name, tower in found.towers.items() if tower.like is None] == ["default"]
    assert found.towers["query"].like == found.towers["document"].like == "default"
    assert [found.towers[name].frontend.tokenizer for name in FILES] == list(FILES.values())  # type: ignore[union-attr]
    assert [entry.source for entry in found.towers["default"].inputs] == ["ids", "mask"]
    assert found.towers["default"].outputs["dense"].dim == 64


@pytest.mark.parametrize("fn", ["cosine", "dot"])
def test_documents_are_compared_with_queries_as_the_recipe_says(pair: tuple[Any, Any], fn: Any) -> None:
    scorers = described(pair, recipe=Recipe(similarity=fn), pooling="mean").scorers
    assert {name: (scorer.fn, scorer.left, scorer.right) for name, scorer in scorers.items()} == {
        "main": (fn, "query.dense", "document.dense")
    }


def test_the_source_is_told_by_its_weights(pair: tuple[Any, Any]) -> None:
    first = described(pair, pooling="mean").source.checkpoint_sha256
    assert described(models.make("bert"), pooling="max").source.checkpoint_sha256 == first
    assert described(models.make("bert", seed=7), pooling="mean").source.checkpoint_sha256 != first
