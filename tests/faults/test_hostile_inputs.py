"""Only embedkit's own errors leave public functions and commands, whatever they are given."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import embedkit
from embedkit import Encoder, F, InputError
from embedkit.evaluation import Texts, evaluate, evaluate_all
from embedkit.ingestion import estimate
from helpers import hostile_inputs

TEXTS = Texts("texts", ("a", "b", "c"), "document")
CALLS = int(os.environ.get("EMBEDKIT_HOSTILE_INPUTS", "120"))
"""Calls of functions and commands."""


def test_calls_that_nobody_means(tmp_path: Path) -> None:
    first = int(os.environ.get("EMBEDKIT_SEED", "0"))
    assert hostile_inputs.search(tmp_path, range(first, first + CALLS)) == {}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda e: e.encode_outputs(["a"], outputs=[]), "outputs: expected at least one of dense, found none"),
        (lambda e: e.encode(["a"], role=["query"]), "role: this bundle has"),
        (lambda e: e.encode(["a"], output=np.zeros(2)), "output: this bundle has"),
        (lambda e: e.encode(["a"], precision=np.zeros(2)), "precision: expected one of"),
        (lambda e: e.encode(np.array("a")), "texts: expected a string or an iterable"),
        (lambda e: embedkit.similarity(["a"], ["b"]), "similarity: expected numbers"),
        (lambda e: embedkit.similarity([[1.0], [1.0, 2.0]], [1.0]), "similarity: expected an array of numbers"),
        (lambda e: embedkit.quantize([[1.0], [1.0, 2.0]], "int8"), "expected float vectors"),
        (lambda e: embedkit.isotropy(["a"]), "vectors: expected numbers"),
        (lambda e: embedkit.parse_filter(7), "filter: expected a string"),
        (lambda e: embedkit.FileRows(["a"], types="int"), "types: expected a type by the name"),
        (lambda e: embedkit.FileRows([7]), "paths: expected a path"),
        (lambda e: embedkit.open_store("memory:").open(["docs"]), "collection name: expected a non-empty string"),
        (lambda e: list(embedkit.chunked(7, e)), "documents: expected an iterable of documents"),
        (lambda e: embedkit.check([], e, "memory:", collection="a", vectors=-1), "vectors: expected an integer"),
        (lambda e: embedkit.check([], e, "memory:", collection="a", searches="x"), "searches: expected an integer"),
        (lambda e: embedkit.check([], e, "memory:", collection="a", drop_broken=1), "drop_broken: expected True or"),
        (lambda e: embedkit.ingest([], e, "memory:", collection="a", sync="no"), "sync: expected True or False"),
        (lambda e: embedkit.Chunking(9, None), "chunk overlap: expected an integer"),
        (lambda e: embedkit.search("a", e, "memory:", collection="a", offset=None), "offset: expected an integer"),
        (lambda e: embedkit.search("a", e, "memory:", collection="a", k=None), "k: expected an integer"),
        (lambda e: embedkit.SparseVectors(2**63, [], [], 4), "expected integers of int64, found 9223372036854775808"),
        (lambda e: STORE.ensure(embedkit.CollectionSpec("a", 4), if_exists=np.zeros(2)), "if_exists: expected one of"),
        (lambda e: embedkit.ingest([], e, "memory:", collection=7), "collection name: expected a non-empty string"),
        (lambda e: embedkit.ingest([], e, "memory:", collection="a\ud800"), "collection name: lone surrogate"),
        (lambda e: embedkit.ingest([], e, "memory:", collection="a", metric=["dot"]), "metric: expected one of"),
        (lambda e: embedkit.search("a", e, "memory:", collection="a", rescore="no"), "rescore: expected True or"),
        (lambda e: embedkit.search("a", e, "memory:", collection="a", rerank=e), "rerank: expected a reranker"),
        (lambda e: embedkit.copy(7, "memory:", collection="a"), "source: expected a store URL"),
        (lambda e: embedkit.copy("memory:", None, collection="a"), "target: expected a store URL"),
        (lambda e: embedkit.LexicalIndex.build(Path("a"), collection="a"), "store: expected a store URL"),
        (lambda e: embedkit.LexicalIndex.of([], stopwords=[7]), "stopwords: expected a string"),
        (lambda e: embedkit.LexicalIndex.load(7), "folder: expected a path"),
        (lambda e: evaluate_all(["sts"], {"e": e}), "task: expected one such as"),
        (lambda e: evaluate_all(e, {"e": e}), "tasks: expected an iterable of tasks"),
        (lambda e: evaluate(TEXTS, e), "encoders: expected a mapping"),
        (lambda e: evaluate(TEXTS, {"e": "bundle"}), "encoder: expected an Encoder or an EncoderPool, found str"),
        (lambda e: evaluate(TEXTS, {"e": e}, confidence=np.timedelta64(1, "s")), "confidence: expected a number"),
        (lambda e: evaluate(TEXTS, {"e": e}, confidence="x"), "confidence: expected a number"),
    ],
)
def test_what_was_found_is_named(encoder: Encoder, call: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call(encoder)


STORE = embedkit.open_store("memory:not asked")
WITH_ENCODER: dict[str, Any] = {
    "ingest": lambda e: embedkit.ingest([], e, "memory:", collection="a"),
    "sync": lambda e: embedkit.ingest([], e, "memory:", collection="a", sync=True),
    "estimate": lambda e: estimate([], e, "memory:", collection="a"),
    "check": lambda e: embedkit.check([], e, "memory:", collection="a"),
    "retry": lambda e: embedkit.retry("a.dead.jsonl", e, "memory:", collection="a"),
    "ingest_table": lambda e: embedkit.ingest_table(e, "memory:", collection="a"),
    "search": lambda e: embedkit.search("a", e, "memory:", collection="a"),
    "chunked": lambda e: embedkit.chunked([], e),
    "AsyncEncoder": embedkit.AsyncEncoder,
    "Reranker": embedkit.Reranker,
    "Classifier": embedkit.Classifier,
    "evaluate": lambda e: evaluate(TEXTS, {"e": lambda: e}),
}
WITH_STORE: dict[str, Any] = {
    "ingest": lambda e, s: embedkit.ingest([], e, s, collection="a"),
    "estimate": lambda e, s: estimate([], e, s, collection="a"),
    "check": lambda e, s: embedkit.check([], e, s, collection="a"),
    "search": lambda e, s: embedkit.search("a", e, s, collection="a"),
}


@pytest.mark.parametrize("call", WITH_ENCODER.values(), ids=WITH_ENCODER)
def test_what_is_no_encoder_is_named(call: Any) -> None:
    wrong = [7, "bundle", Path("bundle"), object(), STORE, Encoder] + ([] if call is WITH_ENCODER["check"] else [None])
    for given in wrong:
        with pytest.raises(InputError, match=f"encoder: expected an Encoder .*found {type(given).__name__}; load one"):
            call(given)


def test_what_wraps_an_encoder_is_told_apart(encoder: Encoder) -> None:
    with pytest.raises(InputError, match=r"found AsyncEncoder; give its attribute encoder"):
        embedkit.search("a", embedkit.AsyncEncoder(encoder), "memory:", collection="a")  # type: ignore[arg-type]


@pytest.mark.parametrize("call", WITH_STORE.values(), ids=WITH_STORE)
def test_what_is_no_store_is_named(call: Any, encoder: Encoder, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    for given in (7, None, Path("index"), object(), STORE.inner, encoder):
        with pytest.raises(InputError, match=f"store: expected a store URL.*found {type(given).__name__}"):
            call(encoder, given)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda rows: rows.scan(cursor=7), "cursor: expected a non-empty string"),
        (lambda rows: rows.scan(cursor=""), "cursor: expected a non-empty string"),
        (lambda rows: rows.scan(cursor=b"a"), "cursor: expected a non-empty string"),
        (lambda rows: rows.get(["a"], with_vectors="no"), "with_vectors: expected True or False, found 'no'"),
        (lambda rows: rows.get(["a"], with_vectors=None), "with_vectors: expected True or False"),
        (lambda rows: rows.upsert([{"id": "a"}]), "batch: expected a RecordBatch, found list"),
        (lambda rows: STORE.ensure("docs"), "spec: expected a CollectionSpec, found str"),
        (
            lambda rows: STORE.ensure(embedkit.CollectionSpec("b", 4), if_exists=np.zeros(2)),  # type: ignore[arg-type]
            "if_exists: expected one of validate, replace, error",
        ),
    ],
)
def test_what_a_collection_is_not_asked_with(call: Any, message: str) -> None:
    rows = STORE.ensure(embedkit.CollectionSpec("hostile", 4))
    with pytest.raises(InputError, match=message):
        call(rows)


def test_a_row_whose_id_is_an_array_is_one_bad_row(encoder: Encoder, tmp_path: Path) -> None:
    store = embedkit.open_store("memory:")
    rows = [{"id": np.zeros(3), "text": "a"}, {"id": "b", "text": "b"}]
    report = embedkit.ingest(rows, encoder, store, collection="one bad row", dead_letters=tmp_path / "dead.jsonl")
    assert (report.dead, store.open("one bad row").count()) == (1, 1)
    assert store.open("one bad row").count(F("x").exists()) == 0
