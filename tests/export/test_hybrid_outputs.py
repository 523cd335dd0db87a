"""Hybrid search by several outputs of one exported model, against numpy."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from embedkit import InputError, LexicalIndex, search
from embedkit.records.batch import RecordBatch
from embedkit.records.documents import Hit
from embedkit.retrieval.fusion import fuse
from embedkit.stores.contract import CollectionSpec, StoreURL
from embedkit.stores.guarded import GuardedStore
from embedkit.stores.memory import open_store
from embedkit_export.recipes.recipe import Recipe
from helpers import models
from helpers.systems import PROMPTREPS, TEXTS, export

QUESTIONS = ["quiet harbour boat", "the committee report on the budget", "bread flour"]


def filled(encoder: Any, kinds: Sequence[str]) -> tuple[GuardedStore, dict[str, Any]]:
    """A store with these kinds of vectors of the texts; and their values."""
    store = GuardedStore(open_store(StoreURL.parse(f"memory:{uuid.uuid4()}")))
    names = {output.kind: name for name, output in encoder.outputs("document").items()}
    values = {kind: encoder.encode(TEXTS, role="document", output=names[kind]) for kind in kinds}
    sizes = {kind: encoder.outputs("document")[names[kind]].dim for kind in kinds}
    spec = CollectionSpec(
        "docs",
        sizes.get("dense", 0),
        "cosine",
        encoder.fingerprint,
        sizes.get("sparse", 0),
        sizes.get("multivector", 0),
    )
    ids = [str(i) for i in range(len(TEXTS))]
    dense = values.get("dense", np.empty((len(ids), 0), np.float32))
    store.ensure(spec).upsert(
        RecordBatch(
            ids, dense, TEXTS, [{}] * len(ids), ids, sparse=values.get("sparse"), multivectors=values.get("multivector")
        )
    )
    return store, values


def rankings(encoder: Any, question: str, values: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Each kind's scores by id, by brute force; no sparse one of 0."""
    found = {}
    for name, output in encoder.outputs("query").items():
        if output.kind not in values:
            continue
        asked, given = encoder.encode([question], role="query", output=name), values[output.kind]
        if output.kind == "dense":
            near = (given / np.linalg.norm(given, axis=1, keepdims=True)) @ (asked[0] / np.linalg.norm(asked[0]))
        elif output.kind == "sparse":
            near = given.dense() @ asked.dense()[0]
        else:
            near = np.array([(asked[0] @ row.T).max(axis=1).sum() for row in given])
        found[output.kind] = {str(i): float(score) for i, score in enumerate(near) if score or output.kind != "sparse"}
    return found


def same(hits: list[Hit], expected: dict[str, float]) -> None:
    assert {hit.id: hit.score for hit in hits} == pytest.approx(expected, abs=1e-4)
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    assert [hit.text for hit in hits] == [TEXTS[int(hit.id)] for hit in hits]


@pytest.mark.slow
def test_dense_and_sparse_of_a_decoder_by_min_max_halves(tmp_path: Path) -> None:
    """PromptReps: the mean of both rankings, each between its extremes."""
    folder = models.save("qwen3", tmp_path / "model", head="ForCausalLM", hidden=128)
    stated = {field: getattr(PROMPTREPS, field) for field in PROMPTREPS.__struct_fields__}
    roles = dict.fromkeys(("default", "query", "document"), PROMPTREPS.roles["default"])
    recipe = Recipe(**{**stated, "model_class": "AutoModelForCausalLM", "roles": roles})
    encoder = export(folder, recipe, tmp_path)
    store, values = filled(encoder, ["dense", "sparse"])
    questions = TEXTS[8:]
    answers = search(questions, encoder, store, collection="docs", k=12, hybrid="minmax")
    for question, hits in zip(questions, answers, strict=True):
        table = rankings(encoder, question, values)
        assert 2 <= len(table["sparse"]) <= 12, "a ranking of its own"
        expected = dict.fromkeys(map(str, range(len(TEXTS))), 0.0)
        for scores in table.values():
            least, greatest = min(scores.values()), max(scores.values())
            for row_id, score in scores.items():
                expected[row_id] += 0.5 * (score - least) / (greatest - least)
        same(hits, expected)
        for hit in hits:
            assert hit.parts == pytest.approx({name: s[hit.id] for name, s in table.items() if hit.id in s}, rel=1e-4)


def test_all_kinds_of_vectors_and_words(tmp_path: Path) -> None:
    folder = models.save("bert", tmp_path / "model", head="ForMaskedLM")
    recipe = Recipe(
        pooling={"mode": "mean"},
        model_class="AutoModelForMaskedLM",
        outputs={
            "words": {"kind": "sparse", "top": 20},
            "late": {"kind": "multivector", "stages": [{"kind": "normalize"}]},
        },
        similarity="cosine",
    )
    encoder = export(folder, recipe, tmp_path)
    store, values = filled(encoder, ["dense", "sparse", "multivector"])
    index = LexicalIndex.build(store, collection="docs")
    before = encoder.stats.texts
    answers = search(
        QUESTIONS, encoder, store, collection="docs", k=12, hybrid="dbsf", lexical=index, weights={"sparse": 2.0}
    )
    assert encoder.stats.texts == before + len(QUESTIONS), "one pass gives all kinds"
    for question, hits, words in zip(QUESTIONS, answers, index.search(QUESTIONS, 100), strict=True):
        table = {**rankings(encoder, question, values), "lexical": words}
        weights = [2.0 if name == "sparse" else 1.0 for name in table]
        same(hits, fuse(list(table.values()), "dbsf", weights))
        assert set(hits[0].parts) <= {"dense", "sparse", "multivector", "lexical"}
    plain = search(QUESTIONS[0], encoder, store, collection="docs", k=12)
    same(plain, rankings(encoder, QUESTIONS[0], values)["dense"])
    assert plain[0].parts == {}


@pytest.mark.parametrize("kind", ["sparse", "multivector"])
def test_a_collection_of_one_other_kind(tmp_path: Path, kind: str) -> None:
    folder = models.save("bert", tmp_path / "model", head="ForMaskedLM")
    outputs = {"sparse": {"kind": "sparse", "top": 20}, "multivector": {"kind": "multivector"}}
    recipe = Recipe(dense=False, model_class="AutoModelForMaskedLM", outputs={"own": outputs[kind]})
    encoder = export(folder, recipe, tmp_path)
    store, values = filled(encoder, [kind])
    for question in QUESTIONS:
        hits = search(question, encoder, store, collection="docs", k=12)
        same(hits, rankings(encoder, question, values)[kind])
    with pytest.raises(InputError, match=f"keeps {kind} vectors alone, and one ranking cannot be fused"):
        search("bread", encoder, store, collection="docs", hybrid="rrf")
    for more in ({"diversity": 0.5}, {"rescore": True}):
        with pytest.raises(InputError, match="keeps no dense vectors to compare"):
            search("bread", encoder, store, collection="docs", **more)
    index = LexicalIndex.build(store, collection="docs")
    assert "lexical" in search("bread", encoder, store, collection="docs", lexical=index)[0].parts
