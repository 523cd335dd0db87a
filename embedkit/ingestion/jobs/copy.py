"""Rows from one store to another, vectors included: nothing is encoded again."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass

import numpy as np
from tqdm import tqdm

from embedkit.checks import check_id
from embedkit.errors import OptionError, StoreError
from embedkit.ingestion.pipeline.lock import one_writer
from embedkit.records.batch import RecordBatch
from embedkit.records.documents import Record
from embedkit.records.filters import Filter
from embedkit.stores.contract import CollectionInfo, CollectionSpec
from embedkit.stores.guarded import GuardedStore
from embedkit.stores.keeping import Keeping, without_keeping
from embedkit.stores.opening import opened
from embedkit.stores.writer import Writer
from embedkit.system.renames import renamed
from embedkit.vectors.multivector import MultiVectors
from embedkit.vectors.sparse import SparseVectors

_PAGE = 500


@dataclass(slots=True)
class CopyReport:
    """``read`` is the sum of ``written``, ``unchanged`` and ``failed``: rows that the target took, had with the same content,
    and refused. ``reasons`` tells why, for some."""

    collection: str
    read: int = 0
    written: int = 0
    unchanged: int = 0
    failed: int = 0
    seconds: float = 0.0
    reasons: tuple[str, ...] = ()

    def to_json(self) -> str:
        """One JSON object on one line."""
        return json.dumps(asdict(self))

    def __str__(self) -> str:
        lines = [
            f"collection {self.collection}: {self.read:,} rows read, {self.written:,} written, {self.unchanged:,} unchanged, "
            f"{self.failed:,} refused, in {self.seconds:.1f} s"
        ]
        return "\n".join([*lines, *self.reasons])


@renamed(within="filter")
def copy(
    source: GuardedStore | str,
    target: GuardedStore | str,
    *,
    collection: str,
    name: str | None = None,
    filter: Filter | None = None,
    progress: bool | None = False,
) -> CopyReport:
    """Copy the rows of a collection, vectors included, to a collection with the same metric and fingerprint, which is made if
    it is not there.

    Vectors are kept in the same precision, in an index with those of its settings that the target takes.

    Rows that the target has with the same content are not read further, so a run that was cut is simply run again. Rows
    that only the target has stay.

    Args:
        source: the store that is read: what `embedkit.open_store` returned, or a store URL.
        target: the store that is written to; may be the same.
        collection: the name of the collection in the source.
        name: its name in the target; by default the same.
        filter: only rows that satisfy it, made with `embedkit.F`; None for all.
        progress: whether a bar is drawn on stderr; None: where stderr is a terminal; False by default.

    Returns:
        What became of the rows.

    Raises:
        CollectionNotFoundError: the source has no such collection.
        CollectionMismatchError: the target's collection was made for something else.
        OptionError: source and target are the same collection.
        StoreError: a store failed for good, the target keeps no vectors of this precision, or another ingest writes to the target.
    """
    started = time.perf_counter()
    name = collection if name is None else check_id(name, "name")
    with (
        opened(source, "source", make=False) as here,
        opened(target, "target") as there,
        one_writer(there, name),
        tqdm(unit="row", disable=None if progress is None else not progress) as bar,
    ):
        rows = here.open(collection)
        info = rows.info
        if _same_place(here, there) and name == collection:
            raise OptionError(f"copy: source and target are the same collection {name!r}; give --as another name")
        if not bar.disable:
            bar.total = rows.count(filter)
        spec = CollectionSpec(name, info.dim, info.metric, _space(info, there), info.sparse, info.multivector)
        writer = Writer(there.ensure(spec))
        report = CopyReport(name)
        for page in rows.pages(filter, size=_PAGE):
            known = writer.hashes([row.id for row in page])
            fresh = [row.id for row in page if known.get(row.id) != row.hash]
            report.read += len(page)
            report.unchanged += len(page) - len(fresh)
            if fresh:
                result = writer.write(_batch(rows.get(fresh, with_vectors=True), fresh, info))
                report.written += result.written
                report.failed += len(result.failed)
                report.reasons = (*report.reasons, *(f"{row.id}: {row.reason}" for row in result.failed))[:20]
            bar.update(len(page))
        writer.flush()
    report.seconds = time.perf_counter() - started
    return report


def _space(info: CollectionInfo, target: GuardedStore) -> str:
    """The fingerprint of the copy: an index is the store's own, and what the target's does not take is left out."""
    keeping = info.keeping
    settings = tuple((name, value) for name, value in keeping.index if name in target.caps.index)
    return Keeping(keeping.precision, settings).added_to(without_keeping(info.fingerprint))


def _same_place(here: GuardedStore, there: GuardedStore) -> bool:
    return here is there or (here.address is not None and here.address == there.address)


def _batch(records: list[Record], wanted: list[str], info: CollectionInfo) -> RecordBatch:
    if len(records) < len(wanted):
        raise StoreError(
            f"{len(wanted) - len(records)} rows of the source were deleted while they were copied; run it again"
        )
    vectors = np.empty((len(records), info.dim), dtype=np.float32)
    if info.dim:
        for kept, row in zip(vectors, records, strict=True):
            kept[:] = row.vector
    sparse = [row.sparse for row in records if row.sparse is not None]
    several = [row.multivector for row in records if row.multivector is not None]
    return RecordBatch(
        ids=[row.id for row in records],
        vectors=vectors,
        sparse=SparseVectors.concatenate(sparse) if info.sparse else None,
        multivectors=MultiVectors.of(several, info.multivector) if info.multivector else None,
        texts=[row.text for row in records],
        metadata=[row.metadata for row in records],
        hashes=[row.hash for row in records],
    )
