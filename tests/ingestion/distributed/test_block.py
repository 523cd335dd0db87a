"""A worker: blocks of rows to a collection, without an engine."""

from __future__ import annotations

import pickle

import numpy as np
import pyarrow as arrow

from embedkit.encoders.encoder import Encoder
from embedkit.ingestion import Chunking, chunked, ingest
from embedkit.ingestion.distributed.answers import BlockCounts, answer_lines
from embedkit.ingestion.distributed.attempts import Tries
from embedkit.ingestion.distributed.block import PICKLED, BlockIngest
from embedkit.ingestion.distributed.plan import Work, plan_run
from embedkit.ingestion.rows.row import BadRow, SourcedDocument
from embedkit.stores.opening import open_store
from embedkit.testing.tiny import tiny_bundle


def counted(answer):
    (found,) = [line for line in answer_lines(answer) if isinstance(line, BlockCounts)]
    return found


def rows_in(url):
    with open_store(url) as store:
        rows = store.open("docs")
        found = rows.get([row.id for row in rows.records()], with_vectors=True)
    return {row.id: (row.text, row.metadata, row.hash, np.asarray(row.vector).tobytes()) for row in found}


def test_a_block_is_written_as_an_ingest_writes_it_and_encoded_once(planned, table, bundle, tmp_path):
    texts = {f"d{i}": f"text {i % 30}" for i in range(40)}
    made = planned()
    block = BlockIngest(made, node="here")
    first = counted(block(table(texts)))
    assert (first.read, first.written, first.encoded, first.node) == (40, 40, 30, "here")
    again = counted(block(table(texts)))
    assert (again.read, again.unchanged, again.encoded) == (40, 40, 0)
    here = f"sqlite-vec:{tmp_path}/here.db"
    documents = [{"id": row_id, "text": text, "n": n} for n, (row_id, text) in enumerate(texts.items())]
    ingest(documents, Encoder.load(bundle, variant="fp32"), here, collection="docs")
    assert rows_in(made.store) == rows_in(here)


def test_bad_rows_come_back_with_their_reason_and_cost_no_other(planned, table):
    answer = BlockIngest(planned())(table({"a": "text", "b": " ", "c": "other"}))
    dead = [line for line in answer_lines(answer) if isinstance(line, BadRow)]
    assert [(row.id, "whitespace" in row.reason) for row in dead] == [("b", True)]
    assert counted(answer).written == 2


def test_late_chunks_are_those_of_an_ingest(table, tmp_path):
    encoder = Encoder.load(tiny_bundle(tmp_path / "late", kinds=("dense", "tokens")), variant="fp32", threads=1)
    chunking, url, here = Chunking(20, late=True), f"sqlite-vec:{tmp_path}/rows.db", f"sqlite-vec:{tmp_path}/here.db"
    with open_store(url) as store:
        made = plan_run(encoder, store, "docs", Work(chunking=chunking), threads=1)
    texts = {"a": "some words about tea. " * 9, "b": "rain"}
    block = BlockIngest(made)
    assert counted(block(table(texts))).written == counted(block(table(texts))).unchanged > 9
    documents = [{"id": row_id, "text": text, "n": n} for n, (row_id, text) in enumerate(texts.items())]
    ingest(chunked(documents, encoder, chunking), encoder, here, collection="docs")
    assert rows_in(url) == rows_in(here)


def test_chunks_shrink_across_runs(planned, table):
    made = planned(chunking=Chunking(size=10))
    long = counted(BlockIngest(made)(table({"a": "some words " * 20})))
    short = counted(BlockIngest(made)(table({"a": "some words " * 3})))
    assert long.written > short.written > 0
    assert short.removed == long.written - short.written
    assert len(rows_in(made.store)) == short.written


def test_the_ids_come_back_where_they_are_wanted(planned, table):
    answer = BlockIngest(planned(keep_ids=True))(table({"a": "x", "b": "y"}))
    assert [line[0] for line in answer_lines(answer) if isinstance(line, tuple)] == ["a", "b"]


def test_rows_that_were_read_elsewhere_are_taken_as_they_are(planned):
    rows = [SourcedDocument("a", "text", {"k": 1}, source="f", line=3), BadRow("f", 4, "broken", "{")]
    made = planned()
    answer = BlockIngest(made)(arrow.table({PICKLED: [pickle.dumps(row) for row in rows]}))
    assert rows_in(made.store)["a"][:2] == ("text", {"k": 1})
    assert [line for line in answer_lines(answer) if isinstance(line, BadRow)] == rows[1:]


class Died(BaseException):
    """The end of the process, as far as its block can tell."""


def test_a_row_that_ends_its_process_three_times_is_a_dead_letter_and_the_others_are_written(
    planned, table, monkeypatch
):
    tries, ends = Tries(), 0
    made = planned()
    take = BlockIngest._take

    def deadly(self, rows, answer):
        rows = list(rows)
        if any("deadly" in row.text for row in rows):
            raise Died
        take(self, rows, answer)

    monkeypatch.setattr(BlockIngest, "_take", deadly)
    texts = {f"d{i}": "deadly" if i == 3 else f"text {i}" for i in range(8)}
    for turn in range(10):  # the rows of a block come in another order each time
        order = [f"d{(i * 3 + turn) % 8}" for i in range(8)]
        try:
            answer = BlockIngest(made, attempts=tries)(table({row_id: texts[row_id] for row_id in order}))
            break
        except Died:
            ends += 1
    assert ends == 3
    dead = [line for line in answer_lines(answer) if isinstance(line, BadRow)]
    assert [(row.id, row.reason) for row in dead] == [("d3", "3 worker processes ended while it was encoded")]
    assert sorted(rows_in(made.store)) == [f"d{i}" for i in range(8) if i != 3]
    assert counted(BlockIngest(made, attempts=tries)(table({"new": "text"}))).written == 1
