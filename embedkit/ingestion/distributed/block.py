"""A worker: it holds the encoder and the connection, and takes blocks of rows to the collection, one after the other.

The vectors of a block are made and written here and go nowhere else. A block that is tried again, because its worker or the
machine ended, finds by their hashes the rows that were written, and encodes the others: so it needs no other checkpoint.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from embedkit.ingestion.chunking.chunked import chunked
from embedkit.ingestion.pipeline.flow.flow import Flow
from embedkit.ingestion.pipeline.flow.pace import Pace
from embedkit.ingestion.readers.source import Source
from embedkit.ingestion.readers.tables.arrow import arrow_rows
from embedkit.ingestion.rows.reading import Fresh, SourceReader
from embedkit.ingestion.rows.row import BadRow, Row, refused
from embedkit.stores.writer import Writer

from .answers import BlockAnswer, BlockCounts
from .attempts import MOST_DEATHS, Attempts, Tries
from .plan import Plan

PICKLED = "embedkit.row"
"""The one column of a table whose rows were read by embedkit's readers: a pickled `SourcedDocument` or `BadRow` each."""

_TABLE = Source("dataset", "dataset", "arrow")


class BlockIngest:
    """Called with a table of rows it writes them, and gives back a small table, `embedkit.ingestion.distributed.answers`.

    ``fetch`` gives the packed bundle where the path of the plan has none, ``attempts`` is what outlives this worker, and ``node`` the
    name of its machine. Raises what loading the bundle and opening the store raise; a call raises `StoreError` where the store
    fails for good, never for a row.
    """

    def __init__(
        self, plan: Plan, *, fetch: Callable[[], bytes] | None = None, attempts: Attempts | None = None, node: str = ""
    ) -> None:
        # The tokenizer's threads are as many as the machine has cores, unless it is told before they start.
        os.environ.setdefault("RAYON_NUM_THREADS", str(plan.threads))
        self.plan, self.node = plan, node
        self.attempts: Attempts = attempts or Tries()
        self.encoder = plan.encoder(fetch)
        self.store, self.collection = plan.opened()
        self.pace = Pace(None)
        self.modality = self.encoder.modality(plan.role)
        self.cut: chunked | None = None
        if plan.chunking is not None:  # made once: it reads the tokenizer
            self.cut = chunked((), self.encoder, plan.chunking, role=plan.role, metadata_policy=plan.metadata_policy)

    def __call__(self, table: Any) -> Any:
        """Take the rows of a table to the collection; as it was said above."""
        began, truncated = time.perf_counter(), self.encoder.stats.truncated
        rows = list(self._rows(table))
        answer = BlockAnswer(BlockCounts(node=self.node))
        keys = [_key(row) for row in rows]
        before = self.attempts.begin(keys)
        fresh = [i for i, deaths in enumerate(before) if not deaths]
        if fresh:
            self._take([rows[i] for i in fresh], answer)
            self.attempts.end([keys[i] for i in fresh])
        self._one_by_one([(row, key) for row, key, deaths in zip(rows, keys, before, strict=True) if deaths], answer)
        answer.counts.truncated = self.encoder.stats.truncated - truncated
        answer.counts.seconds = time.perf_counter() - began
        return answer.table()

    def _rows(self, table: Any) -> Iterator[Row]:
        if table.column_names == [PICKLED]:
            return (pickle.loads(row) for row in table[PICKLED].to_pylist())
        return arrow_rows(table.schema, table.to_batches(), _TABLE, self.plan.fields)

    def _one_by_one(self, rows: list[tuple[Row, bytes]], answer: BlockAnswer) -> None:
        """Rows that were in hand when a process ended: one of them may be why."""
        for row, key in rows:
            if self.attempts.alone(key) <= MOST_DEATHS:
                self._take([row], answer)
                self.attempts.end([key])
            else:
                reason = f"{MOST_DEATHS + 1} worker processes ended while it was encoded"
                answer.counts.read += 1
                answer.dead.append(row if isinstance(row, BadRow) else refused(row, reason))

    def _take(self, rows: Iterable[Row], answer: BlockAnswer) -> None:
        if self.cut is not None:
            self.cut.documents = rows
        reading = SourceReader(
            rows if self.cut is None else self.cut,
            modality=self.modality,
            metadata_policy=self.plan.metadata_policy,
            on_bad_row=answer.dead.append,
        )
        flow = Flow(
            self.encoder,
            self.plan.role,
            self.plan.columns,
            Writer(self.collection),  # a flow that was stopped stops its writer for good
            pace=self.pace,
            on_bad_row=answer.dead.append,
        )
        try:
            flow.run(self._noted(reading.windows(self.pace), answer))
        finally:
            flow.stop()
            reading.close()
        found = flow.counts
        answer.counts.add(
            BlockCounts(
                found.written,
                found.unchanged,
                found.removed,
                found.encoded,
                found.encode_seconds,
                read=reading.read,
                duplicates=reading.duplicates,
            )
        )

    def _noted(self, windows: Iterable[list[Fresh]], answer: BlockAnswer) -> Iterator[list[Fresh]]:
        for window in windows:
            if self.plan.keep_ids:
                answer.rows += [(document.id, digest) for document, digest in window]
            yield window


def _key(row: Row) -> bytes:
    """The same for the same row, by whomever it is taken and in whatever block. A line says which row it is where that has no id; else
    not, for in a table it is the row's place in its block."""
    place = row.line if row.id is None else ""
    told = f"{row.id}\0{row.source}\0{place}".encode("utf-8", "surrogatepass")
    return hashlib.sha256(told).digest()[:16]
