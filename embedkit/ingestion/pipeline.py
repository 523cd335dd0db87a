"""Documents to rows of a collection: skip what is there, encode while writing, account for every row."""

from __future__ import annotations

import os
import threading
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from operator import length_hint
from typing import Any, TypeAlias

import numpy as np
from tqdm import tqdm

from ..encoding import TextEncoder, TruncationWarning
from ..errors import CollectionMismatchError, IngestError, InputError, StoreError
from ..guard import GuardedStore
from ..naming import safe_name
from ..records import Document, FloatArray, RecordBatch, WriteResult
from ..registry import opened
from ..store import CollectionSpec, Metric
from ..template import Text
from ..writer import Writer
from .background import Background
from .dead_letters import DeadLetters
from .first_seen import FirstSeen
from .report import IngestInterrupted, IngestReport
from .rows import DUPLICATE, BadRow, SourcedDocument, fingerprint_of, refused, sourced
from .stale import remove_stale

Fresh: TypeAlias = tuple[SourcedDocument, str]
"""A document and its content hash."""

_WINDOW_CHARACTERS = 1 << 20
_WINDOWS_WAITING = 2


def ingest(
    documents: Iterable[Document | BadRow | Mapping[str, Any] | str],
    encoder: TextEncoder,
    store: GuardedStore | str,
    *,
    collection: str,
    role: str = "document",
    metric: Metric | None = None,
    dead_letters: str | os.PathLike[str] | None = None,
    progress: bool | None = False,
    window: int = 512,
) -> IngestReport:
    """Encode documents and write them to a collection, which is made if it is not there; in bounded memory.

    A document may also be a mapping (``{"id": ..., "text": ...}``, the rest is metadata) or a string, whose id is then a
    hash of it. A row whose content (text and metadata) the collection holds already is neither encoded nor written, so a run that
    was cut is simply run again. Of several rows with one id in a run the first counts. A row that cannot be kept goes
    to the file ``dead_letters`` (by default ``COLLECTION.dead.jsonl`` in the working folder); the others are written.

    Long texts are cut by `embedkit.chunked`; of a source that has fewer chunks than before, or that the collection holds
    as a whole, the rows that it has no more are removed.

    ``store`` is what `embedkit.open_store` returned, or a store URL. ``metric`` is the model's own unless given; another one is
    refused where it would rank vectors otherwise.
    ``progress`` draws a bar on stderr; None draws one where stderr is a terminal. ``window`` is the number of documents
    that are looked up, encoded and written together.

    Raises `CollectionMismatchError` where the collection belongs to another model; `IngestError` where the store fails
    for good, and `IngestInterrupted` (a `KeyboardInterrupt`) at Ctrl-C, both with the report of what was done before.
    """
    if isinstance(window, bool) or not isinstance(window, int) or window < 1:
        raise InputError(f"window: expected a positive integer, found {window!r}")
    dim = encoder.encode([], role=role).shape[1]
    if metric is not None and not encoder.allows(metric):
        raise CollectionMismatchError(
            f"metric: this model's vectors are compared by {encoder.metric!r} and are not of unit length, so an index by {metric!r} "
            "would rank them otherwise; leave metric out"
        )
    spec = CollectionSpec(collection, dim, metric or encoder.metric, encoder.fingerprint)
    with (
        DeadLetters(
            dead_letters or f"{safe_name(collection)}.dead.jsonl", inputs=getattr(documents, "paths", ())
        ) as dead,
        opened(store) as connection,
        tqdm(total=None, unit="row", disable=None if progress is None else not progress) as bar,
    ):
        if not bar.disable:
            bar.total = length_hint(documents) or None
        stopping = threading.Event()
        writer = Writer(connection.ensure(spec), stopping=stopping)
        return _Run(encoder, role, writer, dead, bar, window).run(documents)


@dataclass(slots=True)
class _Counts:
    read: int = 0
    written: int = 0
    unchanged: int = 0
    duplicates: int = 0
    removed: int = 0
    encoded: int = 0
    encode_seconds: float = 0.0


class _Run:
    def __init__(
        self, encoder: TextEncoder, role: str, writer: Writer, dead: DeadLetters, bar: tqdm[Any], window: int
    ) -> None:
        self.encoder, self.role, self.window = encoder, role, window
        self.writer, self.dead, self.bar = writer, dead, bar
        names = encoder.fields(role)
        self.main = "text" if "text" in names else next(iter(names))
        self.others = [name for name in names if name != self.main]
        self.counts = _Counts()
        self.seen = FirstSeen()
        self.writing: Background[tuple[list[Fresh], FloatArray], WriteResult] = Background(
            self._write, stopping=writer.stopping
        )
        self.started = time.perf_counter()
        self.truncated_before = encoder.stats.truncated

    def run(self, documents: Iterable[object]) -> IngestReport:
        try:
            for rows in self._windows(documents):
                self._process(rows)
            self._account(waiting=0)
            self.writer.flush()
            self.dead.finish()
        except KeyboardInterrupt:
            self._stop()
            raise IngestInterrupted(self._report()) from None
        except StoreError as error:
            self._stop()
            raise IngestError(str(error), self._report()) from error
        finally:
            self._stop()
            self.seen.close()
        report = self._report()
        if report.truncated and self.encoder.on_truncate == "warn":
            warnings.warn(
                f"{report.truncated:,} of {report.encoded:,} texts were longer than the {self.encoder.max_tokens} "
                "tokens that the model reads and were cut; split them into chunks to have all of their text in the "
                "vectors",
                TruncationWarning,
                stacklevel=3,
            )
        return report

    def _windows(self, documents: Iterable[object]) -> Iterator[list[Fresh]]:
        """Lists of usable rows with ids not met before in this run, bounded in number and in characters."""
        rows: list[Fresh] = []
        characters = 0
        for ordinal, item in enumerate(documents, start=1):
            row = sourced(item, ordinal)
            self.counts.read += 1
            usable = row if isinstance(row, BadRow) else self._usable(row)
            if isinstance(usable, BadRow):
                self._bury(usable)
            elif usable is not None:
                rows.append(usable)
                characters += len(usable[0].text)
            if len(rows) == self.window or characters >= _WINDOW_CHARACTERS:
                yield rows
                rows, characters = [], 0
        if rows:
            yield rows

    def _usable(self, document: SourcedDocument) -> Fresh | BadRow | None:
        """None for a row that repeats an earlier one of the run."""
        try:
            digest = fingerprint_of(document)
        except InputError as error:
            return refused(document, str(error))
        first = self.seen.claim(document.id, digest, f"{document.source}, line {document.line}")
        if first is None:
            return document, digest
        if first[0] == digest:
            self.counts.duplicates += 1
            self.bar.update()
            return None
        return refused(document, f"{DUPLICATE}: the row of {first[1]} was kept")

    def _process(self, rows: list[Fresh]) -> None:
        known = self.writer.hashes([document.id for document, _ in rows])
        fresh = [(document, digest) for document, digest in rows if known.get(document.id) != digest]
        self.counts.unchanged += len(rows) - len(fresh)
        self.bar.update(len(rows) - len(fresh))
        if fresh:
            job = self._encoded(fresh)
            if job[0]:
                self.writing.submit(job)
        self._account(waiting=_WINDOWS_WAITING)

    def _encoded(self, rows: list[Fresh]) -> tuple[list[Fresh], FloatArray]:
        """The rows that can be encoded, and their (n, dim) vectors; each distinct text is encoded once."""
        items = [self._item(document) for document, _ in rows]
        keys = [item if isinstance(item, str) else tuple(sorted(item.items())) for item in items]
        distinct = dict(zip(keys, items, strict=True))
        place = {key: i for i, key in enumerate(distinct)}
        started = time.perf_counter()
        vectors, reasons = self._encode(list(distinct.values()))
        self.counts.encode_seconds += time.perf_counter() - started
        self.counts.encoded += len(distinct) - len(reasons)
        kept = []
        for key, row in zip(keys, rows, strict=True):
            if place[key] in reasons:
                self._bury(refused(row[0], reasons[place[key]]))
            else:
                kept.append((place[key], row))
        return [row for _, row in kept], vectors[[i for i, _ in kept]]

    def _item(self, document: Document) -> Text:
        """What is encoded: the text or, where the role's template has several fields, these from the metadata too."""
        if not self.others:
            return document.text
        found = {name: document.metadata[name] for name in self.others if name in document.metadata}
        return {self.main: document.text, **found}

    def _encode(self, texts: list[Text]) -> tuple[FloatArray, dict[int, str]]:
        """(n, dim) vectors, and the texts (by number) that have none with the reason of each."""
        reasons: dict[int, str] = {}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", TruncationWarning)
            try:
                vectors = self.encoder.encode(texts, role=self.role)
            except InputError:
                vectors = np.stack([self._encode_alone(i, text, reasons) for i, text in enumerate(texts)])
        for i in np.flatnonzero(~np.isfinite(vectors).all(axis=1)):
            reasons.setdefault(int(i), "the model gave a vector that holds NaN or infinity")
        return vectors, reasons

    def _encode_alone(self, number: int, text: Text, reasons: dict[int, str]) -> FloatArray:
        try:
            alone: FloatArray = self.encoder.encode([text], role=self.role)[0]
            return alone
        except InputError as error:
            reasons[number] = str(error)
            return np.full(self.encoder.encode([], role=self.role).shape[1], np.nan, dtype=np.float32)

    def _write(self, job: tuple[list[Fresh], FloatArray]) -> WriteResult:
        rows, vectors = job
        documents = [document for document, _ in rows]
        self.counts.removed += remove_stale(self.writer, documents)
        return self.writer.write(
            RecordBatch(
                ids=[document.id for document in documents],
                vectors=vectors,
                texts=[document.text for document in documents],
                metadata=[dict(document.metadata) for document in documents],
                hashes=[digest for _, digest in rows],
            )
        )

    def _account(self, *, waiting: int) -> None:
        for (rows, _), result in self.writing.finished(waiting=waiting):
            self._acknowledge(rows, result)

    def _acknowledge(self, rows: list[Fresh], result: WriteResult) -> None:
        self.counts.written += result.written
        self.bar.update(result.written)
        reasons = {failed.id: failed.reason for failed in result.failed}
        for document, _ in rows:
            if document.id in reasons:
                self._bury(refused(document, f"refused by the store: {reasons[document.id]}"))

    def _bury(self, row: BadRow) -> None:
        self.dead.add(row)
        self.bar.update()

    def _stop(self) -> None:
        for (rows, _), result in self.writing.stop():
            self._acknowledge(rows, result)

    def _report(self) -> IngestReport:
        counts = self.counts
        return IngestReport(
            collection=self.writer.collection.info.name,
            read=counts.read,
            written=counts.written,
            unchanged=counts.unchanged,
            duplicates=counts.duplicates,
            removed=counts.removed,
            dead=self.dead.count,
            encoded=counts.encoded,
            truncated=self.encoder.stats.truncated - self.truncated_before,
            seconds=time.perf_counter() - self.started,
            encode_seconds=counts.encode_seconds,
            dead_letters=str(self.dead.path) if self.dead.count else None,
        )
