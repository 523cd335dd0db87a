"""What a source has no more is removed, also after runs that were cut at any moment."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from embedkit.ingestion import Chunking, chunked, ingest
from embedkit.records.batch import RecordBatch
from embedkit.records.documents import Document
from embedkit.stores.guarded import GuardedStore
from embedkit.stores.memory import MemoryStore
from embedkit.stores.opening import open_store

CHUNKING = Chunking(40)


def text(count, version=0):
    """A text of so many chunks."""
    return " ".join(f"This is chunk {i:03} of version {version:03}." for i in range(count))


def run(store, encoder, sources, **options):
    documents = [Document(*source) for source in sources.items()]
    return ingest(chunked(documents, encoder, CHUNKING), encoder, store, collection="docs", **options)


def rows_in(store):
    return {row.id: row.text for row in store.open("docs").scan(limit=10_000).records}


def expected(encoder, sources):
    return {row.id: row.text for row in chunked([Document(*source) for source in sources.items()], encoder, CHUNKING)}


@pytest.fixture(params=["memory:stale", "chroma:index"])
def database(request, entry_points, working_folder):
    if request.param.startswith("chroma"):
        pytest.importorskip("chromadb")
    with open_store(request.param) as store:
        store.drop("docs")
        yield store


def test_a_text_that_shrinks_and_grows_leaves_nothing(database, encoder):
    for count, removed in ((9, 0), (4, 5), (6, 0), (1, 5), (1, 0), (30, 0), (2, 28)):
        sources = {"a": text(count), "b": text(3), "a#0": text(count + 1)}
        report = run(database, encoder, sources)
        assert report.removed == (removed and 2 * removed)
        assert rows_in(database) == expected(encoder, sources)
    assert f"{report.removed} rows removed that their sources have no more" in str(report)


def test_an_unchanged_source_costs_nothing(encoder, store, faulty, monkeypatch):
    sources = {f"d{i}": text(3, i) for i in range(50)}
    run(store, encoder, sources)
    asked = []
    monkeypatch.setattr("embedkit.stores.writer.Writer.get", lambda self, ids: asked.extend(ids) or [])
    assert run(store, encoder, sources | {"d7": text(2)}).written == 2
    assert all(row_id.startswith("d7") for row_id in asked)
    assert len(asked) == 3


def test_a_document_that_was_whole_is_replaced_by_its_chunks(database, encoder):
    ingest([Document("a", text(3)), Document("other", "stays")], encoder, database, collection="docs")
    sources = {"a": text(3)}
    assert run(database, encoder, sources).removed == 1
    assert rows_in(database) == expected(encoder, sources) | {"other": "stays"}
    assert run(database, encoder, sources).removed == 0


def test_rows_that_are_no_chunks_stay_whatever_their_ids(database, encoder):
    own = [
        Document("a#4", "mine", {"source": "a"}),
        Document("a#5", "mine too", {"source": "a", "chunk": 5, "chunks": 5}),
    ]
    ingest(own, encoder, database, collection="docs")
    run(database, encoder, {"a": text(4), "a#0": text(2)})
    assert run(database, encoder, {"a": text(1), "a#0": text(1)}).removed == 4
    assert set(rows_in(database)) == {"a#0", "a#0#0", "a#4", "a#5"}


def test_chunks_behind_a_first_one_that_was_refused_are_found(encoder, store, faulty):
    run(store, encoder, {"a": text(2)})
    faulty.collections["docs"].rows.pop("a#0")
    documents = list(chunked([Document("a", text(9))], encoder, CHUNKING))
    ingest(documents[1:], encoder, store, collection="docs")
    report = run(store, encoder, {"a": text(2)})
    assert report.removed == 7
    assert set(faulty.texts) == {"a#0", "a#1"}


class Killed(BaseException):
    """What kill -9 looks like from inside: nothing runs after it."""


class MortalCollection:
    """Dies at one of its writes: before it, in the middle, or after it and before it is acknowledged. Rows are written as
    they come, or those that are there already first."""

    def __init__(self, inner, life, order):
        self.inner, self.life, self.order = inner, life, order

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def _writes(self, parts):
        for part in parts:
            self.life[0] -= 1
            if not self.life[0]:
                raise Killed
            part()
        self.life[0] -= 1
        if not self.life[0]:
            raise Killed

    def upsert(self, batch: RecordBatch):
        known = self.inner.hashes(batch.ids)
        rows = range(len(batch))
        if self.order == "old first":
            rows = sorted(rows, key=lambda i: batch.ids[i] not in known)
        self._writes([lambda i=i: self.inner.upsert(batch.take([i])) for i in rows])
        return self.inner.upsert(batch)

    def delete(self, *, ids=None, filter=None):
        self._writes([lambda row_id=row_id: self.inner.delete(ids=[row_id]) for row_id in ids])
        return len(ids)


class MortalStore:
    def __init__(self, order):
        self.inner, self.life, self.order = MemoryStore({}), [0], order
        self.caps = self.inner.caps

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def ensure(self, spec):
        return MortalCollection(self.inner.ensure(spec), self.life, self.order)


ORDERS = ("as they come", "old first")
RUNS = st.lists(st.tuples(st.integers(0, 7), st.integers(0, 5), st.integers(0, 1), st.integers(0, 40)), max_size=5)


@settings(deadline=None, max_examples=250)
@given(
    RUNS,
    st.tuples(st.integers(1, 7), st.integers(1, 5), st.integers(0, 1)),
    st.integers(1, 20),
    st.sampled_from(ORDERS),
)
@example(
    [(1, 1, 0, 0), (7, 1, 0, 5)], (1, 1, 0), 2, "as they come"
)  # grown, cut before the end, and back to what it was
@example([(7, 1, 0, 0), (3, 1, 0, 2)], (3, 1, 0), 2, "as they come")
def test_after_any_runs_that_were_cut_a_whole_one_ends_with_exactly_the_chunks(
    encoder, tmp_path_factory, runs, last, window, order
):
    mortal = MortalStore(order)
    store = GuardedStore(mortal)
    letters = tmp_path_factory.mktemp("dead") / "letters.jsonl"

    def sources(first, second, version):
        return {"a": text(first, version) or "a", "a#0": text(second, version) or "b"}

    for first, second, version, life in runs:
        mortal.life[0] = life  # 0 lives on
        with contextlib.suppress(Killed):
            run(store, encoder, sources(first, second, version), window=window, dead_letters=letters)
    mortal.life[0] = 0
    run(store, encoder, sources(*last), window=window, dead_letters=letters)
    assert rows_in(store) == expected(encoder, sources(*last))


@pytest.mark.parametrize("life", range(1, 12))
def test_chunks_behind_a_lost_first_one_that_are_removed_in_part_are_found_again(encoder, life):
    mortal = MortalStore("as they come")
    store = GuardedStore(mortal)
    documents = list(chunked([Document("a", text(9))], encoder, CHUNKING))
    ingest(documents[1:], encoder, store, collection="docs")
    assert len(rows_in(store)) == 8
    mortal.life[0] = life
    with contextlib.suppress(Killed):
        run(store, encoder, {"a": text(2, 1)})
    mortal.life[0] = 0
    run(store, encoder, {"a": text(2, 2)})
    assert rows_in(store) == expected(encoder, {"a": text(2, 2)})
