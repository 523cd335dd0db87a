"""Rows that cannot be kept, each with the reason."""

from __future__ import annotations

import numpy as np

from embedkit.records.batch import RecordBatch
from embedkit.stores.contract import Capabilities, CollectionInfo
from embedkit.stores.guarding.row_checks import unusable_rows, unusable_weights
from embedkit.vectors.multivector import MultiVectors
from embedkit.vectors.sparse import SparseVectors

COSINE = CollectionInfo("docs", 2, "cosine", "")
DOT = CollectionInfo("docs", 2, "dot", "")


def rows(**columns: object) -> RecordBatch:
    n = len(next(iter(columns.values())))  # type: ignore[arg-type]
    given = {"vectors": np.ones((n, 2), np.float32), "texts": ["t"] * n, "metadata": [{}] * n, "hashes": ["h"] * n}
    return RecordBatch([str(i) for i in range(n)], **{**given, **columns})  # type: ignore[arg-type]


def test_each_bad_row_has_its_reason() -> None:
    batch = rows(texts=["fine", "lone \ud800", "t", "t"], metadata=[{"b": 1, "a": None}, {}, {"x": object()}, {1: "x"}])
    kept, dumped, found = unusable_rows(batch, "strict", COSINE, Capabilities())
    assert list(found) == [1, 2, 3]
    assert ("object" in found[2], "string keys" in found[3]) == (True, True)
    assert kept is batch.metadata
    assert dumped == ['{"a":null,"b":1}', "", "", ""]


def test_a_zero_vector_has_no_direction_under_cosine_alone() -> None:
    batch = rows(vectors=np.array([[1, 0], [0, 0]], np.float32))
    assert list(unusable_rows(batch, "strict", COSINE, Capabilities())[2]) == [1]
    assert unusable_rows(batch, "strict", DOT, Capabilities())[2] == {}


def test_a_text_without_tokens() -> None:
    several = MultiVectors.of([np.ones((2, 3)), np.empty((0, 3), np.float32)])
    _, _, found = unusable_rows(rows(multivectors=several), "strict", DOT, Capabilities(multivector=True))
    assert "no token" in found[1]
    assert list(found) == [1]


def test_weights_by_the_capabilities() -> None:
    weights = SparseVectors.of_rows([([1], [1.0]), ([1, 2], [1.0, -1.0]), ([1, 2, 3], [1.0] * 3)], 9)
    assert unusable_weights(weights, Capabilities()) == {}
    assert list(unusable_weights(weights, Capabilities(negative_weights=False))) == [1]
    assert list(unusable_weights(weights, Capabilities(max_weights=2))) == [2]
    assert "at most 2" in unusable_weights(weights, Capabilities(max_weights=2))[2]
    assert sorted(unusable_weights(weights, Capabilities(negative_weights=False, max_weights=1))) == [1, 2]


def test_a_row_of_too_many_bytes_is_refused_with_its_sizes() -> None:
    large = {"a": "é" * 30}
    batch = rows(texts=["x" * 100, "x" * 101, "é" * 51, "t", "t"], metadata=[{}, {}, {}, {"a": "x" * 50}, large])
    _, _, found = unusable_rows(batch, "strict", DOT, Capabilities(max_row_bytes=104))
    assert list(found) == [1, 2, 3, 4]
    assert "at most 104 bytes, in which metadata counts twice, found 102 of text and 2 of metadata" in found[2]
    assert unusable_rows(batch, "strict", DOT, Capabilities())[2] == {}
