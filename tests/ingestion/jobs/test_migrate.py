"""A collection to another model: all rows, their new vectors, one step from the old to the new; whatever goes wrong, the old answers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from embedkit.encoders.encoder import Encoder
from embedkit.errors import CollectionMismatchError, CollectionNotFoundError, InputError, OptionError, StoreError
from embedkit.ingestion import Chunking, chunked, ingest, migrate
from embedkit.ingestion.jobs import migrate as migrating
from embedkit.ingestion.jobs.migrate import StoredRows, finish, go_back
from embedkit.ingestion.pipeline.lock import one_writer
from embedkit.records.documents import Document
from embedkit.retrieval.searching import search
from embedkit.stores.guarded import GuardedStore
from embedkit.stores.opening import open_store
from embedkit.testing.samples import ODD_METADATA
from embedkit.testing.tiny import tiny_bundle
from helpers import slow

STORES = {"sqlite-vec": "sqlite_vec", "lancedb": "lancedb", "qdrant": "qdrant_client", "qdrant-edge": "qdrant_edge"}
STORES |= {"chroma": "chromadb"}
ROWS = [Document(f"id {i}", f"the text of row {i}", ODD_METADATA[i % len(ODD_METADATA)] | {"i": i}) for i in range(40)]


@pytest.fixture(scope="module")
def newer(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    """Another model, of another dimension."""
    made = tiny_bundle(tmp_path_factory.mktemp("newer") / "bundle", dim=12, seed=5)
    return Encoder.load(made, variant="fp32", threads=1, on_truncate="ignore")


@pytest.fixture
def docs(store: GuardedStore, encoder: Encoder) -> GuardedStore:
    """A store with a collection of the old model."""
    ingest(ROWS, encoder, store, collection="docs")
    return store


def content(store: GuardedStore, name: str) -> dict[str, tuple[str, str, str]]:
    return {row.id: (row.text, repr(row.metadata), row.hash) for row in store.open(name).records()}


@pytest.mark.parametrize("scheme", slow.but({"sqlite-vec", "lancedb", "qdrant", "chroma"}, STORES))
def test_there_and_back_and_done(scheme, working_folder, entry_points, encoder, newer):
    pytest.importorskip(STORES[scheme])
    with open_store(f"{scheme}:index") as store:
        ingest(ROWS, encoder, store, collection="docs")
        before = content(store, "docs")
        report = migrate(newer, store, collection="docs")
        assert (report.rows, report.written, report.unchanged, report.dead, report.deleted) == (40, 40, 0, 0, 0)
        assert (report.switched, report.complete, report.source) == (True, True, "docs")
        assert report.check is not None
        assert (report.check.rows, report.check.compared) == (40, 40)
        assert content(store, "docs") == before
        rows = store.open("docs")
        assert (rows.info.name, rows.info.dim, rows.info.fingerprint) == (report.target, 12, newer.fingerprint)
        ids = [row.id for row in ROWS]
        expected = newer.encode([row.text for row in ROWS], role="document")
        assert np.allclose(np.stack([row.vector for row in rows.get(ids, with_vectors=True)]), expected, atol=1e-6)
        assert search("the text of row 7", newer, store, collection="docs", k=3)
        with pytest.raises(CollectionMismatchError):
            search("the text of row 7", encoder, store, collection="docs")
        back = go_back(store, collection="docs")
        assert (back.collection, back.rows, back.left, back.left_rows) == ("docs", 40, report.target, 40)
        assert search("the text of row 7", encoder, store, collection="docs", k=3)
        again = migrate(newer, store, collection="docs")
        assert (again.target, again.written, again.unchanged, again.switched) == (report.target, 0, 40, True)
        assert finish(store, collection="docs") == ("docs",)
        assert store.names() == ["docs", report.target]
        assert content(store, "docs") == before
        with pytest.raises(CollectionNotFoundError, match="nothing to go back to"):
            go_back(store, collection="docs")


def test_what_is_written_meanwhile_is_there_and_what_is_deleted_is_not(docs, encoder, newer, monkeypatch):
    real, passes = migrating.fill, []

    def fill(*given, **options):
        report = real(*given, **options)
        if not passes:  # the first pass is over, and the old collection free
            ingest([Document("late", "a late row"), Document("id 1", "changed")], encoder, docs, collection="docs")
            docs.open("docs").delete(ids=["id 0"])
        passes.append(report)
        return report

    monkeypatch.setattr(migrating, "fill", fill)
    report = migrate(newer, docs, collection="docs")
    assert (report.written, report.deleted, report.rows, report.switched) == (42, 1, 40, True)
    rows = docs.open("docs")
    assert [row.text for row in rows.get(["late", "id 1", "id 0"])] == ["a late row", "changed"]


def test_other_ingests_are_refused_while_it_is_checked(working_folder, entry_points, encoder, newer):
    pytest.importorskip("sqlite_vec")
    refused = []

    def judge(old, new):
        for name in ("docs", new.info.name):
            with pytest.raises(StoreError, match="another ingest"):
                ingest(ROWS[:1], encoder, "sqlite-vec:rows.db", collection=name)
            refused.append(name)
        with pytest.raises(StoreError, match="another ingest"):
            go_back("sqlite-vec:rows.db", collection="docs")
        return True

    ingest(ROWS, encoder, "sqlite-vec:rows.db", collection="docs")
    assert migrate(newer, "sqlite-vec:rows.db", collection="docs", judge=judge).switched
    assert len(refused) == 2
    with open_store("sqlite-vec:rows.db") as store, one_writer(store, "docs"):
        pass


@pytest.mark.parametrize("answer", [False, True])
def test_the_judge_has_the_last_word(docs, newer, answer):
    seen = []

    def judge(old, new):
        seen.append((old.info.dim, new.info.dim, old.count(), new.count(), docs.resolve("docs")))
        return answer

    report = migrate(newer, docs, collection="docs", judge=judge)
    assert seen == [(8, 12, 40, 40, "docs")]
    assert report.switched is answer
    assert docs.resolve("docs") == (report.target if answer else "docs")
    assert ("judge" in report.why) is not answer


def test_without_a_switch_all_else_is_done(docs, encoder, newer):
    judged = []
    report = migrate(newer, docs, collection="docs", switch=False, judge=lambda *both: not judged.append(both))
    assert len(judged) == 1
    assert (report.switched, report.complete, report.written) == (False, True, 40)
    assert "run it again to switch" in str(report)
    assert search("row", encoder, docs, collection="docs")
    assert migrate(newer, docs, collection="docs").unchanged == 40


def test_a_row_that_the_new_model_cannot_encode_keeps_the_old(docs, newer, monkeypatch, working_folder):
    real = newer.encode_outputs

    def encode(texts, **options):
        values = real(texts, **options)
        for dense in values.values():
            dense[[i for i, text in enumerate(texts) if text.endswith("row 3")]] = np.nan
        return values

    with monkeypatch.context() as patched:
        patched.setattr(newer, "encode_outputs", encode)
        report = migrate(newer, docs, collection="docs")
    assert (report.dead, report.switched, docs.resolve("docs")) == (1, False, "docs")
    assert "NaN" in json.loads((working_folder / "docs.dead.jsonl").read_text())["reason"]
    assert "docs.dead.jsonl" in str(report)
    assert json.loads(report.to_json())["switched"] is False
    again = migrate(newer, docs, collection="docs")
    assert (again.written, again.unchanged, again.dead, again.switched) == (1, 39, 0, True)


@pytest.mark.parametrize("kind", ["lost", "vector"])
def test_what_is_damaged_before_the_check_is_never_switched_to(docs, newer, monkeypatch, kind):
    real = migrating.check

    def check(old, encoder, exact, *, collection, **options):
        rows = exact.open(collection)
        if kind == "lost":
            rows.delete(ids=["id 5"])
        else:
            rows.inner.rows["id 5"].vector[:] = -rows.inner.rows["id 5"].vector
        return real(old, encoder, exact, collection=collection, **options)

    monkeypatch.setattr(migrating, "check", check)
    report = migrate(newer, docs, collection="docs")
    assert report.check is not None
    assert (report.check.missing, report.check.wrong) == ((1, 0) if kind == "lost" else (0, 1))
    assert (report.switched, report.complete, docs.resolve("docs")) == (False, False, "docs")


def test_the_former_model_has_its_collection_brought_up_to_date(docs, encoder, newer):
    migrate(newer, docs, collection="docs")
    ingest([Document("late", "a late row")], newer, docs, collection="docs")
    docs.open("docs").delete(ids=["id 0"])
    report = migrate(encoder, docs, collection="docs")
    assert (report.target, report.written, report.deleted, report.switched) == ("docs", 1, 1, True)
    assert (docs.resolve("docs"), docs.open("docs").count()) == ("docs", 40)


def test_a_collection_of_that_model_that_only_sounds_alike_is_left_alone(docs, newer):
    for name in ("docs.archive", "docs.0123456", "docs2"):
        ingest(ROWS[:2], newer, docs, collection=name)
    report = migrate(newer, docs, collection="docs")
    assert report.switched
    assert all(docs.open(name).count() == 2 for name in ("docs.archive", "docs.0123456", "docs2"))


def test_chunks_stay_chunks(store, encoder, newer):
    long = [Document(f"d{i}", " ".join(f"Sentence {j} of {i}." for j in range(30)), {"n": i}) for i in range(4)]
    ingest(chunked(long, encoder, Chunking(20)), encoder, store, collection="docs")
    before = content(store, "docs")
    assert len(before) > 20
    assert migrate(newer, store, collection="docs").switched
    assert content(store, "docs") == before


def test_an_empty_collection(store, encoder, newer):
    store.ensure(migrating.Columns.of(encoder, "document", None).spec("docs", "cosine"))
    report = migrate(newer, store, collection="docs")
    assert (report.rows, report.switched, store.open("docs").info.dim) == (0, True, 12)


def test_what_is_refused(docs, encoder, newer, monkeypatch):
    with pytest.raises(OptionError, match="holds this model's vectors already"):
        migrate(encoder, docs, collection="docs")
    with pytest.raises(CollectionNotFoundError):
        migrate(newer, docs, collection="nothing")
    for options in ({"judge": 3}, {"switch": "no"}, {"vectors": -1}, {"searches": 1.5}, {"metric": "near"}):
        with pytest.raises(InputError, match=next(iter(options))):
            migrate(newer, docs, collection="docs", **options)
    assert docs.names() == ["docs"]
    real = migrating.fill

    def fill(*given, **options):
        if "other" not in docs.names():
            ingest(ROWS, encoder, docs, collection="other")
            docs.switch("docs", "other")
        return real(*given, **options)

    monkeypatch.setattr(migrating, "fill", fill)
    with pytest.raises(StoreError, match="led to another collection meanwhile"):
        migrate(newer, docs, collection="docs")


def test_files_lie_below_the_root(docs, working_folder: Path):
    ingested = docs.open("docs")
    ingested.upsert(migrating_row(ingested))
    found = {row.id: row.about.get("uri") for row in StoredRows(ingested, working_folder)}
    assert (found["pictured"], found["id 1"]) == (str(working_folder / "a/b.png"), None)
    assert {row.place for row in StoredRows(ingested)} == {""}


def migrating_row(rows):
    from embedkit.testing.samples import text_batch

    vectors = np.eye(1, rows.info.dim, dtype=np.float32)
    return text_batch(["pictured"], vectors=vectors, metadata=[{"uri": "a/b.png"}])
