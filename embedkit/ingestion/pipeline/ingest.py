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

from embedkit.checks import boolean, check_id, items_of, positive, real
from embedkit.encoders.base import BaseEncoder
from embedkit.encoders.info import check_encoder
from embedkit.errors import OptionError, StoreError, TruncationWarning
from embedkit.ingestion.rows.dead_letters import DeadLetters
from embedkit.ingestion.rows.reading import SourceReader
from embedkit.ingestion.rows.row import BadRow
from embedkit.records.coercion import MetadataMode
from embedkit.records.documents import Document
from embedkit.records.filters import Filter
from embedkit.stores.contract import Metric
from embedkit.stores.guarded import GuardedStore
from embedkit.stores.opening import opened
from embedkit.stores.plugin_kit.naming import safe_name
from embedkit.stores.writer import Writer
from embedkit.system.renames import renamed

from .columns import Columns, check_metric, kept_in
from .flow.alike import NearDuplicates
from .flow.flow import Flow
from .flow.pace import Pace
from .kept import Kept
from .lock import one_writer
from .prune import check_prunable, prune
from .report import IngestError, IngestInterrupted, IngestReport, several


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
    dim: int | None = None,
    precision: str | None = None,
    index: Mapping[str, int] | None = None,
    any_dim: bool = False,
    dedupe: float | None = None,
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
            as long as that takes some seconds (`embedkit.ingestion.pipeline.flow.pace`).
        sync: deletes at the end the rows of the collection that ``documents`` has not. Nothing is deleted by a source that
            is empty, or that has a row whose id cannot be read. A row that cannot be used keeps what is stored of it.
        filter: a sync deletes only among the rows that satisfy it, made with `embedkit.F`; None for all.
        outputs: names of what of the bundle is kept, at most one of each kind (dense, sparse, multivector); by default all that
            the collection has, or for a new one the first of each kind that the bundle gives.
        dim: cuts dense vectors to so many numbers (of unit length again where the model normalises), a size that the model was
            trained for (Matryoshka); by default what the collection has, or for a new one the model's own size.
        precision: how dense vectors are kept: ``float32``, ``float16``, ``int8`` or ``binary`` (one bit a number), as few bytes as that
            says, and questions are rounded like them; ``int8+full`` and ``binary+full`` are searched by the rounded vectors and
            ranked by full ones, which the store keeps beside them. Each store has some of these. By default what the collection has,
            or for a new one float32.
        index: settings of the store's index, by name, of those that it takes: ``m``, ``ef`` and ``search`` of a graph (HNSW), ``lists``
            and ``probes`` of partitions (IVF), as ``{"m": 32, "ef": 200}``.
        any_dim: True to take a ``dim`` that the model was not trained for; False by default.
        dedupe: leaves out rows whose vector's cosine with that of a row in the collection, or before it in ``documents``, is so much or
            more (above 0, at most 1); they go to the file of dead letters, with the row that each is nearly the same as. Rows whose
            id the collection has are written, and so is the first of several chunks of a document. None for none.

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
    check_id(collection, "collection name")
    boolean("sync", sync)
    if window is not None:
        positive("window", window)
    check_metric(encoder, metric)
    if dedupe is not None:
        real("dedupe", dedupe, least=1e-6, most=1.0)
        if sync:
            raise OptionError(
                "dedupe: a sync may delete the row that another was left out for; ingest with dedupe, or run embedkit dedupe after a sync"
            )
    kept = Kept(dim, precision, index, any_dim, late=getattr(documents, "late", False))
    Columns.of(encoder, role, outputs, None, kept)  # what does not fit is told before anything is opened
    options = IngestOptions(role, metric, metadata_policy, window, sync, filter, outputs, progress, kept, dedupe)
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
    kept: Kept = Kept()  # noqa: RUF009 (it cannot be changed)
    dedupe: float | None = None


def fill(
    documents: Iterable[object],
    encoder: BaseEncoder,
    connection: GuardedStore,
    collection: str,
    dead: DeadLetters,
    options: IngestOptions,
) -> IngestReport:
    """`ingest` for whoever holds the lock of the collection, and has checked what is given."""
    outputs, progress = options.outputs, options.progress
    with tqdm(total=None, unit="row", disable=None if progress is None else not progress) as bar:
        if not bar.disable:
            bar.total = length_hint(documents) or None
        columns, rows = kept_in(encoder, options.role, outputs, connection, collection, options.metric, options.kept)
        if options.dedupe is not None and (not rows.info.dim or rows.info.metric != "cosine"):
            raise OptionError(f"dedupe: collection {collection!r} keeps no dense vectors that are compared by cosine")
        run = _Run(encoder, columns, Writer(rows, stopping=threading.Event()), dead, bar, options)
        return run.run(documents, options.metadata_policy, sync=options.sync, filter=options.filter)


class _Run:
    def __init__(
        self,
        encoder: BaseEncoder,
        columns: Columns,
        writer: Writer,
        dead: DeadLetters,
        bar: tqdm[Any],
        options: IngestOptions,
    ) -> None:
        role = options.role
        self.encoder, self.writer, self.dead, self.bar = encoder, writer, dead, bar
        self.deleted = 0
        self.modality = encoder.modality(role)
        self.items = several(self.modality.noun)
        self.flow = Flow(
            encoder,
            role,
            columns,
            writer,
            pace=Pace(options.window),
            on_bad_row=self._bury,
            on_done=bar.update,
            alike=None if options.dedupe is None else NearDuplicates(writer, options.dedupe),
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
            self.flow.run(self.reading.windows(self.flow.pace))
            if sync:
                check_prunable(self.reading)
                self.deleted = prune(self.writer.collection, self.reading, filter)
            self.writer.flush()
            self.dead.finish()
        except KeyboardInterrupt:
            self.flow.stop()
            raise IngestInterrupted(self._report()) from None
        except StoreError as error:
            self.flow.stop()
            raise IngestError(str(error), self._report()) from error
        finally:
            self.flow.stop()
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

    def _bury(self, row: BadRow) -> None:
        self.dead.add(row)
        self.bar.update()

    def _report(self) -> IngestReport:
        counts = self.flow.counts
        return IngestReport(
            collection=self.writer.collection.info.name,
            read=self.reading.read,
            written=counts.written,
            unchanged=counts.unchanged,
            duplicates=self.reading.duplicates,
            removed=counts.removed,
            deleted=self.deleted,
            dead=self.dead.count,
            encoded=counts.encoded,
            truncated=self.encoder.stats.truncated - self.truncated_before,
            seconds=time.perf_counter() - self.started,
            encode_seconds=counts.encode_seconds,
            dead_letters=str(self.dead.path) if self.dead.count else None,
            items=self.items,
            near_duplicates=self.flow.near_duplicates,
        )
