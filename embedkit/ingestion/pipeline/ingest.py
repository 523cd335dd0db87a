"""Documents to rows of a collection: skip what is there, encode while writing, account for every row."""

from __future__ import annotations

import os
import threading
import time
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import length_hint
from typing import Any

from tqdm import tqdm

from embedkit.checks import boolean, items_of, one_of, positive
from embedkit.encoders.base import BaseEncoder
from embedkit.encoders.info import check_encoder
from embedkit.errors import CollectionMismatchError, StoreError, TruncationWarning
from embedkit.ingestion.rows.dead_letters import DeadLetters
from embedkit.ingestion.rows.reading import Fresh, SourceReader
from embedkit.ingestion.rows.row import BadRow, refused
from embedkit.records.batch import RecordBatch
from embedkit.records.coercion import MetadataMode
from embedkit.records.documents import Document, WriteResult
from embedkit.records.filters import Filter
from embedkit.stores.contract import METRICS, Metric
from embedkit.stores.guarded import GuardedStore
from embedkit.stores.opening import opened
from embedkit.stores.plugin_kit.naming import safe_name
from embedkit.stores.writer import Writer
from embedkit.system.renames import renamed
from embedkit.vectors.values import Values

from .background import Background
from .columns import Columns, existing
from .lock import one_writer
from .pace import Pace
from .prune import check_prunable, prune
from .report import IngestError, IngestInterrupted, IngestReport, several
from .stale import remove_stale
from .windows import Encoded, WindowEncoder

_WINDOWS_ENCODED = 2
_WINDOWS_WAITING = 2


@renamed(metadata="metadata_policy", within="filter")
def ingest(
    documents: Iterable[Document | BadRow | Mapping[str, Any] | str],
    encoder: BaseEncoder,
    store: GuardedStore | str,
    *,
    collection: str,
    role: str = "document",
    metric: Metric | None = None,
    metadata_policy: MetadataMode = "strict",
    dead_letters: str | os.PathLike[str] | None = None,
    progress: bool | None = False,
    window: int | None = None,
    sync: bool = False,
    filter: Filter | None = None,
    outputs: Sequence[str] | None = None,
) -> IngestReport:
    """Encode documents and write them to a collection, which is made if it is not there; in bounded memory.

    A row whose content (text and metadata) the collection holds already is neither encoded nor written, so a run that
    was cut is simply run again. Of several rows with one id in a run the first counts. A row that cannot be kept goes
    to a file of its own; the others are written. Long texts are cut by `embedkit.chunked`; of a source that has fewer
    chunks than before, or that the collection holds as a whole, the rows that it has no more are removed. One ingest at
    a time writes to a place.

    Args:
        documents: `embedkit.Document` objects, mappings (``{"id": ..., "text": ...}``, the rest is metadata) or strings, whose id
            is then a hash of them; `FileRows` and `chunked` give such rows.
        encoder: what gives the vectors.
        store: what `embedkit.open_store` returned, or a store URL.
        collection: its name.
        role: the bundle's role by which the texts are encoded; ``document`` by default.
        metric: ``cosine``, ``dot`` or ``euclidean``, for a new collection; by default the model's own. Another one is refused where
            it would rank vectors otherwise.
        metadata_policy: what is done with values that no store can keep as they are: ``strict`` (the default) refuses the
            row, ``coerce`` takes the nearest value, ``json`` keeps nothing but JSON, see
            `embedkit.records.coercion.converted`.
        dead_letters: the file of the rows that cannot be kept; by default ``COLLECTION.dead.jsonl`` in the working folder.
        progress: whether a bar is drawn on stderr; None: where stderr is a terminal; False by default.
        window: how many documents are looked up, encoded and written together; by default 128 at first, then up to 2,048
            as long as that takes some seconds (`embedkit.ingestion.pipeline.pace`).
        sync: deletes at the end the rows of the collection that ``documents`` has not. Nothing is deleted by a source that
            is empty, or that has a row whose id cannot be read. A row that cannot be used keeps what is stored of it.
        filter: a sync deletes only among the rows that satisfy it, made with `embedkit.F`; None for all.
        outputs: names of what of the bundle is kept, at most one of each kind (dense, sparse, multivector); by default all that
            the collection has, or for a new one the first of each kind that the bundle gives.

    Returns:
        What became of the rows.

    Raises:
        InputError: a sync may delete nothing, which is told after the other rows were written; `OptionError` for options that
            do not fit, and `DiskError` where the dead letters cannot be written.
        CollectionMismatchError: the collection belongs to another model.
        StoreError: another ingest writes to this place, or the store keeps no such vectors, before anything is encoded.
        IngestError: the store fails for good; with the report of what was done before.
        IngestInterrupted: Ctrl-C (it is a `KeyboardInterrupt`); with the same report.
    """
    items_of("documents", documents, "document", ordered=False)
    check_encoder(encoder)
    boolean("sync", sync)
    if window is not None:
        positive("window", window)
    if metric is not None:
        one_of("metric", metric, sorted(METRICS))
    if metric is not None and not encoder.allows(metric):
        raise CollectionMismatchError(
            f"metric: this model's vectors are compared by {encoder.metric!r} and are not of unit length, so an index by {metric!r} "
            "would rank them otherwise; leave metric out"
        )
    Columns.of(encoder, role, outputs)
    options = IngestOptions(role, metric, metadata_policy, window, sync, filter, outputs, progress)
    with (
        DeadLetters(
            f"{safe_name(collection)}.dead.jsonl" if dead_letters is None else dead_letters,
            inputs=getattr(documents, "paths", ()),
        ) as dead,
        opened(store) as connection,
        one_writer(connection, collection),
    ):
        return fill(documents, encoder, connection, collection, dead, options)


@dataclass(frozen=True, slots=True)
class IngestOptions:
    """What `ingest` takes beside documents, encoder and place."""

    role: str = "document"
    metric: Metric | None = None
    metadata_policy: MetadataMode = "strict"
    window: int | None = None
    sync: bool = False
    filter: Filter | None = None
    outputs: Sequence[str] | None = None
    progress: bool | None = False


def fill(
    documents: Iterable[object],
    encoder: BaseEncoder,
    connection: GuardedStore,
    collection: str,
    dead: DeadLetters,
    options: IngestOptions,
) -> IngestReport:
    """`ingest` for whoever holds the lock of the collection, and has checked what is given."""
    role, outputs, progress = options.role, options.outputs, options.progress
    with tqdm(total=None, unit="row", disable=None if progress is None else not progress) as bar:
        if not bar.disable:
            bar.total = length_hint(documents) or None
        known = existing(connection, collection)
        columns = Columns.of(encoder, role, outputs, known.info if known else None)
        spec = columns.spec(collection, options.metric or encoder.metric)
        writer = Writer(connection.ensure(spec), stopping=threading.Event())
        run = _Run(encoder, role, columns, writer, dead, bar, options.window)
        return run.run(documents, options.metadata_policy, sync=options.sync, filter=options.filter)


@dataclass(slots=True)
class _Counts:
    written: int = 0
    unchanged: int = 0
    removed: int = 0
    deleted: int = 0
    encoded: int = 0
    encode_seconds: float = 0.0


class _Run:
    def __init__(
        self,
        encoder: BaseEncoder,
        role: str,
        columns: Columns,
        writer: Writer,
        dead: DeadLetters,
        bar: tqdm[Any],
        window: int | None,
    ) -> None:
        self.encoder, self.columns, self.pace = encoder, columns, Pace(window)
        self.writer, self.dead, self.bar = writer, dead, bar
        self.counts = _Counts()
        self.modality = encoder.modality(role)
        self.items = several(self.modality.noun)
        # Two at a time: while the last texts of one are computed, or the first of the next cut into tokens, no core is idle.
        self.encoding: Background[list[Fresh], Encoded] = Background(
            WindowEncoder(encoder, role, columns), stopping=threading.Event(), threads=_WINDOWS_ENCODED
        )
        self.encoded_until = 0.0
        self.writing: Background[tuple[list[Fresh], dict[str, Values]], WriteResult] = Background(
            self._write, stopping=writer.stopping
        )
        self.started = time.perf_counter()
        self.truncated_before = encoder.stats.truncated

    def run(
        self, documents: Iterable[object], metadata_policy: MetadataMode, *, sync: bool, filter: Filter | None
    ) -> IngestReport:
        self.reading = SourceReader(
            documents,
            modality=self.modality,
            metadata_policy=metadata_policy,
            on_bad_row=self._bury,
            on_duplicate=self.bar.update,
        )
        try:
            for rows in self.reading.windows(self.pace):
                self._process(rows)
            self._send(waiting=0)
            self._account(waiting=0)
            if sync:
                check_prunable(self.reading)
                self.counts.deleted = prune(self.writer.collection, self.reading, filter)
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
            self.reading.close()
        report = self._report()
        if report.truncated and self.encoder.on_truncate == "warn":
            warnings.warn(
                f"{report.truncated:,} of {report.encoded:,} {report.items} were longer than the {self.encoder.max_tokens} "
                "tokens that the model reads and were cut; split them into chunks to have all of their text in the "
                "vectors",
                TruncationWarning,
                stacklevel=5,  # run, fill, ingest and what takes its old keywords
            )
        return report

    def _process(self, rows: list[Fresh]) -> None:
        began = time.perf_counter()
        known = self.writer.hashes([document.id for document, _ in rows])
        fresh = [(document, digest) for document, digest in rows if known.get(document.id) != digest]
        self.counts.unchanged += len(rows) - len(fresh)
        self.bar.update(len(rows) - len(fresh))
        if fresh:
            self.encoding.submit(fresh)
        else:
            self.pace.took(len(rows), time.perf_counter() - began, 0)
        self._send(waiting=_WINDOWS_ENCODED - 1)

    def _send(self, *, waiting: int) -> None:
        """Hand over what is encoded to be written, until at most ``waiting`` windows are being encoded."""
        for _, encoded in self.encoding.finished(waiting=waiting):
            counts = self.counts
            counts.encode_seconds += encoded.ended - max(encoded.began, self.encoded_until)
            self.encoded_until = encoded.ended
            counts.encoded += encoded.texts
            size = sum(found.nbytes for found in encoded.values.values())
            self.pace.took(len(encoded.rows) + len(encoded.refused), encoded.ended - encoded.began, size)
            for (document, _), reason in encoded.refused:
                self._bury(refused(document, reason))
            if encoded.rows:
                self.writing.submit((encoded.rows, encoded.values))
            self._account(waiting=_WINDOWS_WAITING)

    def _write(self, job: tuple[list[Fresh], dict[str, Values]]) -> WriteResult:
        rows, values = job
        documents = [document for document, _ in rows]
        self.counts.removed += remove_stale(self.writer, documents)
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
        list(self.encoding.stop())
        for (rows, _), result in self.writing.stop():
            self._acknowledge(rows, result)

    def _report(self) -> IngestReport:
        counts = self.counts
        return IngestReport(
            collection=self.writer.collection.info.name,
            read=self.reading.read,
            written=counts.written,
            unchanged=counts.unchanged,
            duplicates=self.reading.duplicates,
            removed=counts.removed,
            deleted=counts.deleted,
            dead=self.dead.count,
            encoded=counts.encoded,
            truncated=self.encoder.stats.truncated - self.truncated_before,
            seconds=time.perf_counter() - self.started,
            encode_seconds=counts.encode_seconds,
            dead_letters=str(self.dead.path) if self.dead.count else None,
            items=self.items,
        )
