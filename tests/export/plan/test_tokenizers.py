"""What reads a role's items, beside the tokenizer of transformers that it was made of."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from embedkit_export import Pooling, Recipe, Role, prepare
from embedkit_export.plan.tokenizers import Tokenizers
from helpers import models

RECIPE = Recipe(roles={"query": Role(template="query: {text}"), "document": Role(template="{title} {text}")})
TEXTS = ["the harbour was quiet", "a", *models.SENTENCES]


@pytest.fixture(scope="module")
def pair() -> tuple[Any, Any]:
    return models.make("bert")


@pytest.fixture(scope="module")
def tokenizers(pair: tuple[Any, Any], tmp_path_factory: pytest.TempPathFactory) -> Tokenizers:
    folder = tmp_path_factory.mktemp("tokenizers")
    return Tokenizers(prepare(pair, recipe=RECIPE, pooling="mean").plan, folder)


def test_equal_tokenizers_are_one_file(tokenizers: Tokenizers) -> None:
    assert set(tokenizers.files) == set(tokenizers.plan.roles)
    assert set(tokenizers.files.values()) == {"tokenizer.json"}


def test_other_tokenizers_are_files_of_their_own(pair: tuple[Any, Any], tmp_path: Path) -> None:
    plan = prepare(pair, recipe=RECIPE, pooling="mean").plan
    other = json.loads(plan.roles["query"].tokenizer_json)
    other["normalizer"] = None
    plan.roles["query"] = dataclasses.replace(plan.roles["query"], tokenizer_json=json.dumps(other))
    made = Tokenizers(plan, tmp_path)
    assert len(set(made.files.values())) == 2
    assert {file.name for file in tmp_path.iterdir()} == set(made.files.values())
    assert json.loads((tmp_path / made.files["query"]).read_text())["normalizer"] is None


def test_a_feed_is_what_transformers_reads(tokenizers: Tokenizers, pair: tuple[Any, Any]) -> None:
    for text in TEXTS:
        expected = pair[1](f"query: {text}", truncation=True, max_length=64, return_tensors="np")
        fed = tokenizers.feed("query", text)
        assert set(fed) >= {"input_ids", "attention_mask"}
        for name in ("input_ids", "attention_mask"):
            width = max(2, expected[name].shape[1])
            assert np.array_equal(fed[name], expected[name][:, :width]), text


def test_texts_fill_the_fields_of_a_role(tokenizers: Tokenizers) -> None:
    assert tokenizers.items("query", TEXTS[:2]) == TEXTS[:2]
    given = [{"title": "A", "text": "b", "more": "c"}]
    assert tokenizers.items("document", given) == [{"title": "A", "text": "b"}]
    filled = tokenizers.items("document", ["word"])[0]
    assert set(filled) == {"title", "text"}
    assert filled["text"] == "word"
    first, again, other = tokenizers.keys("document", ["word", filled, {**filled, "title": "another"}])
    assert first == again != other


def test_what_leaves_nothing_to_pool_is_left_out(pair: tuple[Any, Any], tmp_path: Path) -> None:
    recipe = Recipe(pooling=Pooling(without=["first:5"]))
    made = Tokenizers(prepare(pair, recipe=recipe).plan, tmp_path)
    long = " ".join(TEXTS)
    assert made.items("default", ["a", long]) == [long]
