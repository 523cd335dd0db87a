"""Windows of rows through the steps of an ingest, without a source, a lock or a report."""

from __future__ import annotations

import numpy as np
import pytest

from embedkit.errors import StoreError
from embedkit.ingestion.pipeline.columns import Columns
from embedkit.ingestion.pipeline.flow.flow import Flow
from embedkit.ingestion.pipeline.flow.pace import Pace
from embedkit.ingestion.rows.row import SourcedDocument, fingerprint_of
from embedkit.stores.writer import Retry, Writer


def window(first, count):
    rows = [SourcedDocument(f"d{i}", f"text {i}", {"n": i}) for i in range(first, first + count)]
    return [(row, fingerprint_of(row)) for row in rows]


@pytest.fixture
def collection(encoder, store):
    return store.ensure(Columns.of(encoder, "document", None).spec("docs", "cosine"))


def flow(encoder, collection, **options):
    bad, done = [], []
    columns = Columns.of(encoder, "document", None)
    writer = Writer(collection, retry=Retry(attempts=1))
    made = Flow(
        encoder, "document", columns, writer, pace=Pace(8), on_bad_row=bad.append, on_done=done.append, **options
    )
    return made, bad, done


def test_rows_that_are_new_are_encoded_and_written_and_the_others_counted(encoder, collection):
    first, _, _ = flow(encoder, collection)
    first.run([window(0, 5)])
    first.stop()
    again, bad, done = flow(encoder, collection)
    again.run(iter([window(0, 5), window(3, 4), window(20, 3)]))
    again.stop()
    assert (again.counts.unchanged, again.counts.written, again.counts.encoded, bad) == (7, 5, 5, [])
    assert sum(done) == 12
    stored = collection.get([f"d{i}" for i in range(23)], with_vectors=True)
    assert [row.id for row in stored] == [f"d{i}" for i in [*range(7), *range(20, 23)]]
    alone = encoder.encode_document([row.text for row in stored])
    assert np.stack([row.vector for row in stored]).tobytes() == alone.tobytes()


def test_what_was_passed_on_is_counted_when_it_is_stopped(encoder, collection):
    made, _, _ = flow(encoder, collection)
    made.pass_on(window(0, 4))
    made.drain()
    made.pass_on(window(4, 4))
    made.stop()
    assert made.counts.written == collection.count() == 4  # the second was encoded, and never handed over


def test_rows_without_a_vector_are_handed_on_with_their_reason(encoder, collection):
    row = SourcedDocument("broken", "lone \ud83d surrogate")
    made, bad, _ = flow(encoder, collection)
    made.run([[*window(0, 2), (row, "hash")]])
    made.stop()
    assert made.counts.written == 2
    assert [(found.id, "surrogate" in found.reason) for found in bad] == [("broken", True)]


def test_a_store_that_fails_ends_it(encoder, collection, faulty):
    made, _, _ = flow(encoder, collection)
    made.run([window(0, 3)])

    def refuse(batch):
        raise StoreError("no more of them")

    faulty.fault = refuse
    with pytest.raises(StoreError):
        made.run([window(3, 3)])
    made.stop()
    assert made.counts.written == 3
