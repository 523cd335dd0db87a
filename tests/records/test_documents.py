"""Documents, records and hits: plain values that cross processes and share nothing."""

from __future__ import annotations

import dataclasses
import pickle

import numpy as np
import pytest

from embedkit.records.documents import Document, Hit, Page, Record, RowError, WriteResult
from embedkit.vectors.sparse import SparseVectors

VALUES = [
    Document("a", "text", {"n": 1}),
    Hit("a", 0.5, "text", {"n": 1}, {"dense": 0.5}),
    RowError("a", "too long"),
    WriteResult(3, (RowError("a", "too long"),)),
    Page([Record("a", "text", {}, "hash")], "next"),
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_they_cross_processes_and_do_not_change(value):
    assert pickle.loads(pickle.dumps(value)) == value
    name = dataclasses.fields(value)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(value, name, "other")
    with pytest.raises((AttributeError, TypeError)):
        value.surprise = 1


def test_defaults_are_not_shared():
    for first, second in ((Document("a", "x"), Document("b", "y")), (Hit("a", 1.0, "x", {}), Hit("b", 1.0, "y", {}))):
        name = "metadata" if isinstance(first, Document) else "parts"
        getattr(first, name)["n"] = 1
        assert getattr(second, name) == {}


def test_a_record_without_vectors_has_none_of_them():
    record = Record("a", "text", {}, "hash")
    assert (record.vector, record.sparse, record.multivector) == (None, None, None)
    whole = Record("a", "text", {}, "hash", np.ones(2, np.float32), SparseVectors.of(np.eye(2)[:1]))
    again = pickle.loads(pickle.dumps(whole))
    assert np.array_equal(again.vector, whole.vector)
    assert again.sparse == whole.sparse
