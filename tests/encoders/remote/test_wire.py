"""Answers made values, and those that are none."""

from __future__ import annotations

import base64

import numpy as np
import pytest

from embedkit import RemoteError
from embedkit.bundle.manifest import Output
from embedkit.encoders.remote.wire import dense, embeddings_of, values_of


def test_rows_are_put_in_order():
    reply = {"data": [{"index": 1, "embedding": "b"}, {"index": 0, "embedding": "a"}]}
    assert embeddings_of(reply, 2, "host") == ["a", "b"]
    assert embeddings_of({"data": [{"embedding": "a"}, {"embedding": "b"}]}, 2, "host") == ["a", "b"]


@pytest.mark.parametrize(
    "reply",
    [None, [], {}, {"data": None}, {"data": []}, {"data": [{"index": 0}]}, {"data": [1, 2]}, {"data": [{"index": 0}, {"index": 0}]},
     {"data": [{"index": 0}, {"index": "x"}]}],
)  # fmt: skip
def test_other_rows_are_refused(reply):
    with pytest.raises(RemoteError, match="host: expected"):
        embeddings_of(reply, 2, "host")


def test_base64_is_exact_and_lists_are_taken():
    vectors = np.random.default_rng(0).normal(size=(3, 5)).astype(np.float32)
    text = [base64.b64encode(row.tobytes()).decode() for row in vectors]
    assert (dense(text, "host") == vectors).all()
    assert (dense(vectors.tolist(), "host") == vectors).all()


@pytest.mark.parametrize("row", ["%%", "AAA=", None, [None], [[1.0]], ["x"], {}, []])
def test_what_is_no_vector_is_refused(row):
    with pytest.raises(RemoteError, match="host: expected"):
        dense([row], "host")


def test_another_size_is_a_changed_model():
    with pytest.raises(RemoteError, match="vectors of 3 numbers, as before, found 2; its model was changed"):
        values_of([[1.0, 2.0]], Output(kind="dense", dim=3), "host")


def test_sparse_vectors_come_in_any_order():
    rows = [{"indices": [5, 2], "values": [0.5, 0.25]}, {"indices": [], "values": []}]
    found = values_of(rows, Output(kind="sparse", dim=9), "host")
    assert [(i.tolist(), v.tolist()) for i, v in found] == [([2, 5], [0.25, 0.5]), ([], [])]


def test_several_vectors_a_text():
    found = values_of([[[1, 2]], [[3, 4], [5, 6]]], Output(kind="multivector", dim=2), "host")
    assert [row.tolist() for row in found] == [[[1, 2]], [[3, 4], [5, 6]]]


@pytest.mark.parametrize(
    ("kind", "row"),
    [
        ("sparse", [1.0]),
        ("sparse", {"indices": [1], "values": []}),
        ("sparse", {"indices": [10], "values": [1.0]}),
        ("sparse", {"indices": [1, 1], "values": [1.0, 1.0]}),
        ("multivector", [1.0, 2.0, 3.0]),
        ("multivector", "AAAA"),
    ],
)
def test_what_is_not_of_the_kind_is_refused(kind, row):
    with pytest.raises(RemoteError, match=f"expected {kind} vectors"):
        values_of([row], Output(kind=kind, dim=2), "host")
