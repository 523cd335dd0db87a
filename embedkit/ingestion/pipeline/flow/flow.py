"""Rows through their three steps: is it there, what is its vector, write it; the steps of several windows at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from embedkit.encoders.base import BaseEncoder
from embedkit.ingestion.pipeline.columns import Columns
from embedkit.ingestion.pipeline.encoding.late import window_encoder
from embedkit.ingestion.pipeline.encoding.windows import Encoded
from embedkit.ingestion.pipeline.stale import remove_stale
from embedkit.ingestion.rows.reading import Fresh
from embedkit.ingestion.rows.row import BadRow, refused
from embedkit.records.batch import RecordBatch
from embedkit.records.documents import WriteResult
from embedkit.stores.writer import Writer
from embedkit.vectors.values import Values

from .alike import NearDuplicates
from .background import Background
from .pace import Pace

_WINDOWS_ENCODED = 2
_WINDOWS_WAITING = 2


@dataclass(slots=True)
class RowCounts:
    """What became of rows; the fields are those of `embedkit.IngestReport`."""

    written: int = 0
    unchanged: int = 0
    removed: int = 0
    encoded: int = 0
    encode_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class _Written:
    """What became of a window: of the rows that were to be written, and by their numbers of those that were left out."""

    result: WriteResult
    left_out: dict[int, str]


class Flow:
    """Takes windows of rows to a collection. It knows neither where rows are from nor who else writes: whoever uses it holds
    the lock, and flushes the collection at the end.

    ``alike`` tells which rows are left out because another is nearly the same; None for none. ``on_bad_row`` is given each row that
    is left out, has no vector, or is refused by the store, ``on_done`` the number of rows that were
    written or were there; both are called on the thread that calls `pass_on`, `drain` or `stop`.
    """

    def __init__(
        self,
        encoder: BaseEncoder,
        role: str,
        columns: Columns,
        writer: Writer,
        *,
        pace: Pace,
        on_bad_row: Callable[[BadRow], None],
        on_done: Callable[[int], object] = lambda rows: None,
        alike: NearDuplicates | None = None,
    ) -> None:
        self.columns, self.writer, self.pace = columns, writer, pace
        self.counts, self.near_duplicates = RowCounts(), 0
        self._on_bad_row, self._on_done, self._alike = on_bad_row, on_done, alike
        # Two at a time: while the last texts of one are computed, or the first of the next cut into tokens, no core is idle.
        self._encoding: Background[list[Fresh], Encoded] = Background(
            window_encoder(encoder, role, columns), stopping=threading.Event(), threads=_WINDOWS_ENCODED
        )
        self._encoded_until = 0.0
        self._writing: Background[tuple[list[Fresh], dict[str, Values]], _Written] = Background(
            self._write, stopping=writer.stopping
        )

    def run(self, windows: Iterable[list[Fresh]]) -> None:
        """Take all windows to their end. Raises `StoreError` where the store fails for good."""
        for rows in windows:
            self.pass_on(rows)
        self.drain()

    def pass_on(self, rows: list[Fresh]) -> None:
        """Look up a window, hand over what is new of it to be encoded, and what is encoded to be written."""
        began = time.perf_counter()
        known = self.writer.hashes([document.id for document, _ in rows])
        fresh = [(document, digest) for document, digest in rows if known.get(document.id) != digest]
        self.counts.unchanged += len(rows) - len(fresh)
        self._on_done(len(rows) - len(fresh))
        if fresh:
            self._encoding.submit(fresh)
        else:
            self.pace.took(len(rows), time.perf_counter() - began, 0)
        self._send(waiting=_WINDOWS_ENCODED - 1)

    def drain(self) -> None:
        """Wait until all that was passed on is written."""
        self._send(waiting=0)
        self._account(waiting=0)

    def stop(self) -> None:
        """Begin nothing more, wait for what is in hand, and count it."""
        list(self._encoding.stop())
        for (rows, _), result in self._writing.stop():
            self._acknowledge(rows, result)

    def _send(self, *, waiting: int) -> None:
        """Hand over what is encoded to be written, until at most ``waiting`` windows are being encoded."""
        for _, encoded in self._encoding.finished(waiting=waiting):
            counts = self.counts
            counts.encode_seconds += encoded.ended - max(encoded.began, self._encoded_until)
            self._encoded_until = encoded.ended
            counts.encoded += encoded.texts
            size = sum(found.nbytes for found in encoded.values.values())
            self.pace.took(len(encoded.rows) + len(encoded.refused), encoded.ended - encoded.began, size)
            for (document, _), reason in encoded.refused:
                self._on_bad_row(refused(document, reason))
            if encoded.rows:
                self._writing.submit((encoded.rows, encoded.values))
            self._account(waiting=_WINDOWS_WAITING)

    def _write(self, job: tuple[list[Fresh], dict[str, Values]]) -> _Written:
        rows, values = job
        self.counts.removed += remove_stale(self.writer, [document for document, _ in rows])
        left_out = {} if self._alike is None else self._alike(rows, self.columns.columns(values)["vectors"])
        if left_out:
            kept = np.array([number for number in range(len(rows)) if number not in left_out], np.intp)
            rows, values = [rows[number] for number in kept], {name: found[kept] for name, found in values.items()}
        return _Written(self._written(rows, values) if rows else WriteResult(0), left_out)

    def _written(self, rows: list[Fresh], values: dict[str, Values]) -> WriteResult:
        documents = [document for document, _ in rows]
        return self.writer.write(
            RecordBatch(
                ids=[document.id for document in documents],
                **self.columns.columns(values),
                texts=[document.text for document in documents],
                metadata=[dict(document.metadata) for document in documents],
                hashes=[digest for _, digest in rows],
            )
        )

    def _account(self, *, waiting: int) -> None:
        for (rows, _), result in self._writing.finished(waiting=waiting):
            self._acknowledge(rows, result)

    def _acknowledge(self, rows: list[Fresh], written: _Written) -> None:
        result = written.result
        self.near_duplicates += len(written.left_out)
        for number, reason in written.left_out.items():
            self._on_bad_row(refused(rows[number][0], reason))
        self.counts.written += result.written
        self._on_done(result.written)
        reasons = {failed.id: failed.reason for failed in result.failed}
        for document, _ in rows:
            if document.id in reasons:
                self._on_bad_row(refused(document, f"refused by the store: {reasons[document.id]}"))
