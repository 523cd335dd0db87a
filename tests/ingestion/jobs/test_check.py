"""A check finds each way in which a collection and its source can differ, and nothing else."""

from __future__ import annotations

import json
import uuid
import warnings
from dataclasses import replace
from datetime import datetime

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from embedkit import Encoder, FileRows
from embedkit.errors import CollectionNotFoundError, InputError
from embedkit.ingestion import check, ingest
from embedkit.records.batch import RecordBatch
from embedkit.records.documents import Document
from embedkit.records.filters import F
from embedkit.stores.contract import StoreURL
from embedkit.stores.guarded import GuardedStore
from embedkit.stores.memory import open_store
from helpers.image_bundles import picture_bundle
from helpers.pictures import folder


def fresh_store() -> GuardedStore:
    return GuardedStore(open_store(StoreURL.parse(f"memory:{uuid.uuid4()}")))


@pytest.fixture
def store(encoder) -> GuardedStore:
    made = fresh_store()
    ingest(SOURCE, encoder, made, collection="docs")
    return made


SOURCE = [Document(f"d{i}", f"text of {i}", {"i": i, "even": i % 2 == 0}) for i in range(50)]


def rewrite(store, row_id, **changed):
    """Change columns of a stored row behind embedkit's back."""
    (row,) = store.open("docs").get([row_id], with_vectors=True)
    row = replace(row, **changed)
    store.open("docs").upsert(RecordBatch([row.id], row.vector[None], [row.text], [row.metadata], [row.hash]))


def test_a_collection_that_agrees(encoder, store):
    report = check(SOURCE, encoder, store, collection="docs", vectors=10)
    assert report.consistent
    assert (report.source, report.rows, report.compared) == (50, 50, 10)
    assert report.worst_cosine == pytest.approx(1)
    assert "they agree" in str(report)
    assert json.loads(report.to_json())["consistent"] is True


def test_each_difference_is_named(encoder, store):
    docs = store.open("docs")
    docs.delete(ids=["d1", "d2"])
    rewrite(store, "d3", text="other text")
    rewrite(store, "d4", metadata={"i": 4})
    rewrite(store, "d5", vector=-docs.get(["d5"], with_vectors=True)[0].vector)
    source = [*SOURCE[:-1], Document("d49", "new text"), Document("bad", " ")]
    ingest([Document("x", "no longer there"), Document("bad", "kept")], encoder, store, collection="docs")
    report = check(source, encoder, store, collection="docs", vectors=1000)
    assert not report.consistent
    assert report.bad == 1
    assert report.ids == {
        "damaged": ["d3", "d4"],
        "changed": ["d49"],
        "extra": ["x"],
        "missing": ["d1", "d2"],
        "wrong": ["d3", "d5"],
    }
    assert "2 in the source only: 'd1', 'd2'" in str(report)
    assert "they do not agree" in str(report)
    again = check(source, encoder, store, collection="docs", vectors=1000, drop_broken=True)
    assert again.ids == report.ids
    ingest(source, encoder, store, collection="docs", sync=True)
    assert check(source, encoder, store, collection="docs", vectors=1000).consistent


def test_within(encoder, store):
    even = [row for row in SOURCE if row.metadata["even"]]
    assert check(even, None, store, collection="docs", filter=F("even") == True).consistent  # noqa: E712
    assert check(even, None, store, collection="docs").extra == 25
    assert check(SOURCE, None, store, collection="docs", filter=F("even") == True).consistent  # noqa: E712
    outside = [*even, Document("d1", "changed outside")]
    assert check(outside, None, store, collection="docs", filter=F("even") == True).changed == 1  # noqa: E712


def test_metadata_mode_is_that_of_the_ingest(encoder):
    store = fresh_store()
    source = [Document("a", "text", {"tags": {"x"}})]
    ingest(source, encoder, store, collection="docs", metadata_policy="coerce")
    assert check(source, None, store, collection="docs", metadata_policy="coerce").consistent
    assert check(source, None, store, collection="docs").bad == 1


def test_what_cannot_be_checked(store):
    with pytest.raises(InputError, match="encoder"):
        check(SOURCE, None, store, collection="docs", vectors=1)
    with pytest.raises(CollectionNotFoundError):
        check(SOURCE, None, store, collection="absent")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(
    st.dictionaries(st.integers(0, 9), st.sampled_from("ab"), min_size=1),
    st.dictionaries(st.integers(0, 9), st.sampled_from("ab"), min_size=1),
)
def test_counts_are_those_of_sets(encoder, here, there):
    store = fresh_store()
    ingest([Document(str(i), text) for i, text in here.items()], encoder, store, collection="docs")
    report = check([Document(str(i), text) for i, text in there.items()], None, store, collection="docs")
    assert report.missing == len(there.keys() - here.keys())
    assert report.extra == len(here.keys() - there.keys())
    assert report.changed == sum(here[i] != there[i] for i in here.keys() & there.keys())
    assert report.damaged == 0


def test_the_sample_is_spread_over_the_rows(encoder, store):
    docs = store.open("docs")
    for i in range(0, 50, 2):
        rewrite(store, f"d{i}", vector=-docs.get([f"d{i}"], with_vectors=True)[0].vector)
    report = check(SOURCE, encoder, store, collection="docs", vectors=20)
    assert 3 <= report.wrong <= 17
    assert np.isclose(report.worst_cosine, -1)


def test_the_order_of_before_and_the_old_keywords_go_on_working(store, encoder):
    even = F("even") == True  # noqa: E712
    new = check(SOURCE, encoder, store, collection="docs", vectors=3, filter=even, metadata_policy="json")
    with pytest.warns(DeprecationWarning, match="now") as warned:
        old = check(SOURCE, store, collection="docs", encoder=encoder, vectors=3, within=even, metadata="json")
    assert old == new
    assert [str(warning.message) for warning in warned] == [
        "check: metadata= is called metadata_policy= now",
        "check: within= is called filter= now",
        "check: the encoder comes before the store now",
    ]
    assert {warning.filename for warning in warned} == {__file__}
    with pytest.warns(DeprecationWarning, match="the encoder comes before the store now"):
        assert check(SOURCE, store, collection="docs").consistent
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert check(SOURCE, store=store, collection="docs", encoder=encoder, vectors=3).compared == 3
        assert check(documents=SOURCE, store=store, collection="docs").consistent


@pytest.mark.parametrize("value", ["NaT", "-249-10-15T19:33:20", "2024-05-01T12:30:15.123456789"])
def test_a_row_whose_time_an_earlier_version_could_not_read_is_named_and_mended(encoder, value):
    """Such a row was written, and every read of its collection failed."""
    made = fresh_store()
    source = [Document("a", "a text", {"t": datetime(2024, 5, 1)}), Document("b", "another", {"t": None})]
    ingest(source, encoder, made, collection="docs")
    docs = made.open("docs")
    (row,) = docs.get(["b"], with_vectors=True)
    kept = '{"t":{"$embedkit":"datetime","value":"' + value + '"}}'
    written = RecordBatch(["b"], row.vector[None], [row.text], [{}], ["of then"], [kept])
    docs.inner.upsert(written)
    assert {row.id for row in docs.records()} == {"a", "b"}
    found = check(source, encoder, made, collection="docs", drop_broken=True)
    assert (found.damaged, found.ids) == (1, {"damaged": ["b"]})
    assert ingest(source, encoder, made, collection="docs").written == 1
    assert check(source, encoder, made, collection="docs").consistent
    assert docs.get(["b"])[0].metadata == {"t": None}


def test_rows_without_a_text_are_known_by_what_is_stored(store, tmp_path):
    pytest.importorskip("PIL")
    bundle = picture_bundle(tmp_path / "bundle")
    photos = [{"id": path.name, "uri": str(path)} for path in folder(tmp_path / "photos", 5)]
    documents = [Document(row["id"], "", {"uri": row["uri"]}) for row in photos]
    table = tmp_path / "photos.csv"
    table.write_text("\n".join(["id,uri", *(f"{row['id']},{row['uri']}" for row in photos)]))
    for source in (photos, documents, FileRows([table])):
        pictures = fresh_store()
        ingest(source, Encoder.load(bundle), pictures, collection="photos")
        report = check(source, None, pictures, collection="photos")
        assert (report.rows, report.source, report.bad, report.consistent) == (5, 5, 0, True)
        pictures.open("photos").delete(ids=[photos[3]["id"]])
        assert check(source, None, pictures, collection="photos").ids == {"missing": [photos[3]["id"]]}
    report = check([*SOURCE, Document("none", "")], None, store, collection="docs")  # rows of texts
    assert (report.source, report.bad, report.consistent) == (50, 1, True)
