"""The conformance cases of rows, one at a time: ids, replacing, metadata, text; a part of `StoreTests`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from embedkit.errors import InputError
from embedkit.records.batch import RecordBatch
from embedkit.records.documents import WriteResult
from embedkit.records.filters import F
from embedkit.records.metadata import Metadata
from embedkit.stores.contract import Collection, VectorStore
from embedkit.stores.guarded import GuardedCollection

from .samples import DIM, ODD_IDS, ODD_METADATA, dense_of, exact, matching, scanned, text_batch, unit_vectors


class RowTests:
    """Rows, one at a time: ids, replacing, metadata, text."""

    def test_any_string_is_an_id(self, docs: GuardedCollection) -> None:
        batch = text_batch(ODD_IDS)
        assert docs.upsert(batch).written == len(ODD_IDS)
        assert docs.count() == len(ODD_IDS)
        assert [record.id for record in docs.get(ODD_IDS)] == ODD_IDS
        assert docs.hashes(ODD_IDS) == dict(zip(ODD_IDS, batch.hashes, strict=True))
        assert {record.id for record in scanned(docs)} == set(ODD_IDS)
        assert {hit.id for hit in docs.query(batch.vectors[:1], len(ODD_IDS))[0]} == set(ODD_IDS)
        docs.delete(ids=ODD_IDS[::2])
        assert [record.id for record in docs.get(ODD_IDS)] == ODD_IDS[1::2]

    @pytest.mark.parametrize("bad", ["", None, 1, "lone \ud800", "nul \0"])
    def test_what_is_no_id_is_refused(self, docs: GuardedCollection, bad: Any) -> None:
        with pytest.raises(InputError):
            docs.upsert(text_batch([bad]))
        assert docs.count() == 0

    def test_upsert_replaces_the_whole_row(self, docs: GuardedCollection) -> None:
        first = text_batch(
            ["a", "b"], texts=["old", "kept"], metadata=[{"gone": 1, "kept": "x", "n": {"d": 1}}, {"gone": 1}], seed=1
        )
        second = text_batch(["a"], texts=[""], metadata=[{"kept": "y", "new": True}], seed=2)
        docs.upsert(first)
        docs.upsert(second)
        a, b = docs.get(["a", "b"], with_vectors=True)
        assert (a.text, a.metadata, a.hash) == ("", {"kept": "y", "new": True}, second.hashes[0])
        assert np.array_equal(dense_of(a), second.vectors[0])
        assert (b.text, b.metadata, b.hash) == ("kept", {"gone": 1}, first.hashes[1])
        assert matching(docs, F("gone") == 1) == {"b"}
        assert matching(docs, F("kept") == "x") == set()
        assert matching(docs, F("new").is_in([True])) == {"a"}
        docs.upsert(text_batch(["a"], metadata=[{}], seed=3))
        assert docs.get(["a"])[0].metadata == {}
        assert matching(docs, F("new").is_in([True])) == set()
        assert docs.count() == 2

    def test_last_of_several_rows_with_one_id_wins(self, docs: GuardedCollection) -> None:
        batch = text_batch(
            ["a", "b", "a", "a"], texts=["1", "2", "3", "4"], metadata=[{"n": i, str(i): i} for i in range(4)]
        )
        assert docs.upsert(batch).written == 2
        (a,) = docs.get(["a", "a"], with_vectors=True)
        assert (a.text, a.metadata, a.hash) == ("4", {"n": 3, "3": 3}, batch.hashes[3])
        assert np.array_equal(dense_of(a), batch.vectors[3])
        assert docs.count() == 2

    def test_metadata_is_lossless(self, docs: GuardedCollection) -> None:
        ids = [str(i) for i in range(len(ODD_METADATA))]
        assert docs.upsert(text_batch(ids, metadata=ODD_METADATA)).failed == ()
        found = docs.get(ids)
        page = {record.id: record.metadata for record in scanned(docs)}
        hits = {hit.id: hit.metadata for hit in docs.query(unit_vectors(1), len(ids))[0]}
        for row_id, record, expected in zip(ids, found, ODD_METADATA, strict=True):
            for metadata in (record.metadata, page[row_id], hits[row_id]):
                assert exact(metadata) == exact(expected)

    def test_text_comes_back_equal(self, docs: GuardedCollection) -> None:
        texts = [
            "",
            " ",
            "plain",
            "é 日本語 🎉",
            "nul \0 inside",
            "a\r\nb\tc",
            "'\"\\;--",
            "x" * 100_000,
            "\ufeffbom",
            "\uffff",
        ]
        ids = [str(i) for i in range(len(texts))]
        docs.upsert(text_batch(ids, texts=texts))
        assert [record.text for record in docs.get(ids)] == texts
        assert {record.id: record.text for record in scanned(docs)} == dict(zip(ids, texts, strict=True))
        assert {hit.id: hit.text for hit in docs.query(unit_vectors(1), len(ids))[0]} == dict(
            zip(ids, texts, strict=True)
        )

    def test_a_large_row_is_kept_whole_or_refused_by_name(self, docs: GuardedCollection) -> None:
        large = "é\x01 '" * 60_000
        texts = [large, "text", "text", "text"]
        metadata: list[Metadata] = [{"n": 1}, {"v": large}, {"v": {"deep": [large]}}, {"n": 1}]
        ids = ["text", "value", "nested", "small"]
        result = docs.upsert(text_batch(ids, texts=texts, metadata=metadata))
        refused = {row.id for row in result.failed}
        assert "small" not in refused
        assert all(row.reason for row in result.failed)
        assert result.written == len(ids) - len(refused)
        found = {record.id: (record.text, record.metadata) for record in docs.get(ids)}
        rows = zip(ids, texts, metadata, strict=True)
        assert found == {row_id: (text, kept) for row_id, text, kept in rows if row_id not in refused}
        if "value" not in refused:
            assert matching(docs, F("v") == large) == {"value"}

    def test_a_bad_row_costs_no_good_one(self, docs: GuardedCollection) -> None:
        batch = text_batch(
            ["good", "zero", "surrogate", "object", "key", "fine"], texts=["t", "t", "\udc00", "t", "t", "t"]
        )
        batch.vectors[1] = 0
        metadata = [{}, {}, {}, {"x": object()}, {1: "x"}, {}]
        result = docs.upsert(RecordBatch(batch.ids, batch.vectors, batch.texts, metadata, batch.hashes))  # type: ignore[arg-type]
        assert result.written == 2
        assert sorted(row.id for row in result.failed) == ["key", "object", "surrogate", "zero"]
        assert all(row.reason for row in result.failed)
        assert {record.id for record in scanned(docs)} == {"good", "fine"}

    def test_what_is_absent_is_left_out(self, docs: GuardedCollection) -> None:
        docs.upsert(text_batch(["a"]))
        assert docs.get(["b"]) == []
        assert docs.get([]) == []
        assert docs.hashes(["a", "b"]).keys() == {"a"}
        assert docs.hashes([]) == {}
        assert docs.delete(ids=["b"]) in (0, None)
        assert docs.delete(ids=[]) in (0, None)
        assert docs.upsert(text_batch([])).written == 0
        for bad in ("", "nul \0", "lone \ud800", 1, None):
            for ask in (docs.get, docs.hashes, lambda ids: docs.delete(ids=ids)):
                with pytest.raises(InputError):
                    ask([bad])  # type: ignore[list-item]
        assert docs.get(["a"])[0].vector is None
        assert docs.count() == 1

    # Raw: the plugin by itself

    def test_raw_rows_are_replaced_as_a_whole(self, raw_docs: Collection) -> None:
        first = text_batch(
            ["a", "b"], texts=["old", "kept"], metadata=[{"gone": 1, "n": {"d": 1}}, {"gone": 2}], seed=1
        )
        second = text_batch(["a"], texts=[""], metadata=[{"new": "y"}], seed=2)
        assert raw_docs.upsert(first) == WriteResult(2)
        assert raw_docs.upsert(second) == WriteResult(1)
        found = {record.id: record for record in raw_docs.get(["a", "b"], with_vectors=True)}
        assert (found["a"].text, found["a"].metadata, found["a"].hash) == ("", {"new": "y"}, second.hashes[0])
        assert (found["b"].text, found["b"].metadata, found["b"].hash) == ("kept", {"gone": 2}, first.hashes[1])
        assert np.array_equal(dense_of(found["a"]), second.vectors[0])
        assert np.array_equal(dense_of(found["b"]), first.vectors[1])
        assert raw_docs.count() == 2
        assert raw_docs.hashes(["a", "b"]) == {"a": second.hashes[0], "b": first.hashes[1]}
        assert [(hit.id, hit.text) for hit in raw_docs.query(second.vectors, 1)[0]] == [("a", "")]

    def test_raw_any_string_is_an_id(self, raw_store: VectorStore, raw_docs: Collection) -> None:
        size = raw_store.caps.max_batch_rows
        parts = [ODD_IDS[start : start + size] for start in range(0, len(ODD_IDS), size)]
        hashes: dict[str, str] = {}
        for part in parts:
            batch = text_batch(part)
            assert raw_docs.upsert(batch) == WriteResult(len(part))
            hashes.update(zip(part, batch.hashes, strict=True))
        assert raw_docs.count() == len(ODD_IDS)
        for part in parts:
            assert sorted(record.id for record in raw_docs.get(part)) == sorted(part)
            assert raw_docs.hashes(part) == {row_id: hashes[row_id] for row_id in part}
        for row_id in ODD_IDS[::2]:
            assert raw_docs.delete(ids=[row_id]) in (1, None)
            assert raw_docs.delete(ids=[row_id]) in (0, None)
        assert sorted(record.id for record in scanned(raw_docs)) == sorted(ODD_IDS[1::2])

    def test_raw_what_is_absent_is_left_out(self, raw_docs: Collection) -> None:
        for expected in ([], ["a"]):
            assert [record.id for record in raw_docs.get(["a", "b"])] == expected
            assert list(raw_docs.hashes(["b", "a"])) == expected
            raw_docs.upsert(text_batch(["a"]))
        (record,) = raw_docs.get(["a"])
        assert (record.vector, record.sparse, record.multivector) == (None, None, None)
        (record,) = raw_docs.get(["a"], with_vectors=True)
        assert dense_of(record).dtype == np.float32
        assert dense_of(record).shape == (DIM,)
        assert raw_docs.delete(ids=["b"]) in (0, None)
        assert raw_docs.count() == 1

    def test_raw_metadata_is_lossless(self, raw_store: VectorStore, raw_docs: Collection) -> None:
        for i, metadata in enumerate(ODD_METADATA):
            assert raw_docs.upsert(text_batch([str(i)], metadata=[metadata])) == WriteResult(1)
        ids = [str(i) for i in range(len(ODD_METADATA))]
        found = {record.id: record.metadata for row_id in ids for record in raw_docs.get([row_id])}
        page = {record.id: record.metadata for record in scanned(raw_docs)}
        hits = {hit.id: hit.metadata for hit in raw_docs.query(unit_vectors(1), len(ids))[0]}
        for row_id, metadata in zip(ids, ODD_METADATA, strict=True):
            assert exact(found[row_id]) == exact(page[row_id]) == exact(hits[row_id]) == exact(metadata)
