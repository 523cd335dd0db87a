"""Whether a collection holds exactly what its source says."""

from __future__ import annotations

import json
import random
import warnings
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from functools import wraps
from itertools import islice
from typing import Any, Generic, TypeVar, cast

import numpy as np
from tqdm import tqdm

from embedkit.checks import boolean, integer, items_of
from embedkit.encoders.base import BaseEncoder
from embedkit.encoders.info import check_encoder
from embedkit.errors import OptionError
from embedkit.ingestion.pipeline.columns import Columns
from embedkit.ingestion.pipeline.lock import one_writer
from embedkit.ingestion.pipeline.prune import compared, source_of
from embedkit.ingestion.rows.media import located
from embedkit.ingestion.rows.reading import SourceReader
from embedkit.records.coercion import MetadataMode
from embedkit.records.documents import Record
from embedkit.records.filters import Filter
from embedkit.records.metadata import content_hash
from embedkit.stores.fingerprint import is_late
from embedkit.stores.guarded import GuardedCollection, GuardedStore
from embedkit.stores.keeping import rounded
from embedkit.stores.opening import opened
from embedkit.system.renames import renamed
from embedkit.vectors.multivector import MultiVectors
from embedkit.vectors.sparse import SparseVectors
from embedkit.vectors.values import nearness

from .findable import unfindable

_Function = TypeVar("_Function", bound=Callable[..., Any])
_Item = TypeVar("_Item")
_WINDOW, _NAMED = 1000, 20
SEARCHES = 10_000
"""Rows that a check searches for, unless it is told otherwise."""
_NEAR = 0.99
"""The least cosine of a stored vector with the one computed anew. Another variant of the bundle (int8 for fp32) stays above."""
_NEAR_BITS = 0.9
"""The same of vectors of which each number is a bit: those about 0 may change."""


@dataclass(slots=True)
class CheckReport:
    """``rows`` of the collection against ``source`` usable rows, of which ``bad`` others cannot be used.

    ``missing`` rows are in the source only, ``extra`` ones in the collection only; ``changed`` ones have another content
    than the source; ``damaged`` ones another than they were written with; ``wrong`` ones, of the ``compared``, another
    vector than the model gives; ``unfound`` ones, of the ``searched``, are kept, and a search for their own vector does not find
    them. ``ids`` names some of each.
    """

    collection: str
    source: int = 0
    bad: int = 0
    rows: int = 0
    missing: int = 0
    extra: int = 0
    changed: int = 0
    damaged: int = 0
    compared: int = 0
    wrong: int = 0
    worst_cosine: float | None = None
    ids: dict[str, list[str]] = field(default_factory=dict)
    searched: int = 0
    unfound: int = 0

    @property
    def consistent(self) -> bool:
        """Whether the collection is what the source says."""
        return not (self.missing or self.extra or self.changed or self.damaged or self.wrong or self.unfound)

    def note(self, kind: str, row_id: str) -> None:
        """Count a row, and name it where few were."""
        setattr(self, kind, getattr(self, kind) + 1)
        named = self.ids.setdefault(kind, [])
        if len(named) < _NAMED:
            named.append(row_id)

    def to_json(self) -> str:
        """One JSON object on one line."""
        return json.dumps(asdict(self) | {"consistent": self.consistent})

    def __str__(self) -> str:
        lines = [
            f"collection {self.collection}: {self.rows:,} rows, the source has {self.source:,}"
            + (f" and {self.bad:,} that are not usable" if self.bad else "")
        ]
        for kind, meaning in (
            ("missing", "in the source only"),
            ("extra", "in the collection only"),
            ("changed", "with other content than the source"),
            ("damaged", "with other content than they were written with"),
            ("wrong", "with another vector than the model gives"),
            ("unfound", "that no search finds, not even for their own vectors"),
        ):
            if count := getattr(self, kind):
                named = ", ".join(map(repr, self.ids[kind]))
                lines.append(f"{count:,} {meaning}: {named}{', ...' if count > len(self.ids[kind]) else ''}")
        if self.compared:
            lines.append(f"{self.compared:,} vectors computed anew, smallest cosine {self.worst_cosine:.5f}")
        if self.searched:
            of = "all" if self.searched == self.rows else f"{self.searched:,} of {self.rows:,}"
            lines.append(f"{of} rows searched for by their own vectors")
        lines.append("they agree" if self.consistent else "they do not agree")
        return "\n".join(lines)


def _in_either_order(function: _Function) -> _Function:
    """Take the store in the second place too, with a `DeprecationWarning`: there it stood before the encoder."""

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if len(args) == 2 and isinstance(args[1], GuardedStore | str):
            warnings.warn("check: the encoder comes before the store now", DeprecationWarning, stacklevel=3)
            args = (args[0], kwargs.pop("encoder", None), args[1])
        if len(args) < 2:
            kwargs.setdefault("encoder", None)
        return function(*args, **kwargs)

    return cast("_Function", call)


@renamed(metadata="metadata_policy", within="filter")
@_in_either_order
def check(
    documents: Iterable[object],
    encoder: BaseEncoder | None,
    store: GuardedStore | str,
    *,
    collection: str,
    metadata_policy: MetadataMode = "strict",
    filter: Filter | None = None,
    role: str = "document",
    vectors: int = 0,
    searches: int = SEARCHES,
    drop_broken: bool = False,
    progress: bool | None = False,
) -> CheckReport:
    """Compare a collection with its source, row by row: ids, content, and that the content is what was written.

    Args:
        documents: what was ingested, as `embedkit.ingest` takes it.
        encoder: the bundle that the collection was made with; None to compare no vectors. By it a row without a text is known as one
            that was ingested with its id in the place of it; without it, where the collection has such rows.
        store: what `embedkit.open_store` returned, or a store URL.
        collection: its name.
        metadata_policy: what the rows were ingested with; ``strict`` by default.
        filter: only rows of the collection that satisfy it are looked at, made with `embedkit.F`; None for all.
        role: the role by which the texts were encoded; ``document`` by default.
        vectors: so many rows (chosen at random, the same at each run) are encoded anew and compared too; 0 by default.
        searches: so many rows (chosen at random, the same at each run, where there are more) are searched for by their own
            dense vectors, in a store whose index may lose rows; 10,000 by default, 0 for none.
        drop_broken: deletes the rows that are damaged, wrong or not found, so that an ingest writes them anew; nothing else is
            changed. False by default.
        progress: whether a bar is drawn on stderr; None: where stderr is a terminal; False by default.

    Returns:
        What was found; ``consistent`` tells whether they agree.

    Raises:
        CollectionNotFoundError: there is no such collection.
        CollectionMismatchError: it belongs to another model than ``encoder``.
        OptionError: vectors are asked for without an encoder.
    """
    integer("vectors", vectors, least=0)
    integer("searches", searches, least=0)
    boolean("drop_broken", drop_broken)
    if encoder is not None:
        check_encoder(encoder)
    if vectors and encoder is None:
        raise OptionError("check: vectors can be compared with an encoder only; give the bundle's")
    documents = items_of("documents", documents, "document", ordered=False)
    modality = None if encoder is None else encoder.modality(role)
    with (
        opened(store, make=False) as connection,
        ExitStack() as opening,
        tqdm(unit="row", disable=None if progress is None else not progress) as bar,
    ):
        rows = connection.open(collection)
        if encoder is not None:
            rows.require_fingerprint(encoder.fingerprint)
        late = is_late(rows.info.fingerprint)
        if late != getattr(documents, "late", False):
            raise OptionError(
                f"check: collection {collection!r} holds {'late' if late else 'plain'} chunks, and the documents are not cut so; give them as "
                "the ingest had them (--late, Chunking(late=True))"
            )
        if vectors and late:
            raise OptionError(
                f"check: collection {collection!r} holds late chunks, whose vectors are made of whole documents; leave vectors out"
            )
        textless = modality is None and _has_textless(rows)
        reading = opening.enter_context(
            SourceReader(documents, modality=modality, textless=textless, metadata_policy=metadata_policy)
        )
        for window in reading.windows(lambda: _WINDOW):
            bar.update(len(window))
        run = _Check(rows, reading, filter, CheckReport(collection, source=len(reading.ledger), bad=reading.bad))
        sample, searched = run.stored(vectors, searches if connection.caps.indexed and rows.info.dim else 0, bar)
        run.unmet()
        run.search(searched)
        if encoder is not None and sample:
            run.vectors(sample, encoder, role, getattr(documents, "root", None))
        if drop_broken and run.broken:
            with one_writer(connection, collection):
                rows.delete(ids=run.broken)
    return run.report


def _has_textless(rows: GuardedCollection) -> bool:
    """Whether a row was ingested without a text, so that its id, or that of the document it is a chunk of, stands there."""
    return any(row.text in (row.id, source_of(row)) for page in rows.pages(None, size=_WINDOW) for row in page)


class Sample(Generic[_Item]):
    """So many of the items that are offered, chosen at random (reservoir sampling, Vitter's algorithm R)."""

    def __init__(self, size: int) -> None:
        self.kept: list[_Item] = []
        self._size, self._offered, self._chance = size, 0, random.Random(0)

    def offer(self, item: _Item) -> None:
        """Keep the item, or not."""
        self._offered += 1
        place = self._offered - 1 if self._offered <= self._size else self._chance.randrange(self._offered)
        if place < self._size:
            self.kept[place : place + 1] = [item]


class _Check:
    def __init__(
        self, rows: GuardedCollection, reading: SourceReader, filter: Filter | None, report: CheckReport
    ) -> None:
        self.rows, self.reading, self.filter, self.report = rows, reading, filter, report
        self.broken: list[str] = []
        self.late = is_late(rows.info.fingerprint)

    def stored(self, compared_: int, searched: int, bar: tqdm[Any]) -> tuple[list[Record], list[str]]:
        """Look at each stored row; so many of them, and the ids of so many, both chosen at random."""
        report = self.report
        chosen: Sample[Record] = Sample(compared_)
        ids: Sample[str] = Sample(searched)
        for row, digest in compared(self.rows, self.reading, self.filter):
            report.rows += 1
            bar.update()
            # The hash of a late chunk is that of what was read with it too, which the collection does not hold.
            if not self.late and content_hash(row.text, row.metadata) != row.hash:
                report.note("damaged", row.id)
                self.broken.append(row.id)
            elif digest is None:
                report.note("extra", row.id)
            elif digest != row.hash:
                report.note("changed", row.id)
            chosen.offer(row)
            ids.offer(row.id)
        return chosen.kept, ids.kept

    def search(self, ids: list[str]) -> None:
        """Look for rows by their own vectors."""
        self.report.searched = len(ids)
        for row_id in unfindable(self.rows, ids):
            self.report.note("unfound", row_id)
            self.broken.append(row_id)

    def unmet(self) -> None:
        """Look for the rows of the source that were not met: they may lie outside of ``filter``."""
        unmet = self.reading.ledger.unmet()
        while part := [row_id for row_id, _ in islice(unmet, _WINDOW)]:
            known = self.rows.hashes(part)
            digests = self.reading.ledger.hashes(part)
            for row_id in part:
                if row_id not in known:
                    self.report.note("missing", row_id)
                elif known[row_id] != digests[row_id]:
                    self.report.note("changed", row_id)

    def vectors(self, sample: list[Record], encoder: BaseEncoder, role: str, root: str | None) -> None:
        """Compare the vectors of some rows with those that the model gives; what stands for a file that is gone is not compared.
        Files whose ``uri`` is relative lie below ``root``."""
        modality = encoder.modality(role)
        stored, lost = self.rows.whole([row.id for row in sample])
        for row_id in {*lost} - {*self.broken}:
            self.report.note("unfound", row_id)
            self.broken.append(row_id)
        if not stored:
            return
        columns = Columns.of(encoder, role, None, self.rows.info)
        texts = [modality.of_row(row.text, located(row.metadata, root)) for row in stored]
        bad: dict[int, str] = {}
        names = list(columns.names.values())
        values = encoder.encode_outputs(texts, role=role, outputs=names, dim=columns.dim, on_bad=bad.__setitem__)
        stored = [row for number, row in enumerate(stored) if number not in bad]
        if not stored:
            return
        fresh = columns.columns(values)
        near = [np.ones(len(stored))]
        if "dense" in columns.names:
            given, keeping = fresh["vectors"], self.rows.info.keeping
            given = given if keeping.full else rounded(given, keeping.base)
            near.append(nearness(np.stack([np.asarray(row.vector, np.float32) for row in stored]), given))
        if "sparse" in columns.names:
            kept = SparseVectors.concatenate([row.sparse for row in stored if row.sparse is not None])
            near.append(nearness(kept, fresh["sparse"]))
        if "multivector" in columns.names:
            several = MultiVectors.of([row.multivector for row in stored if row.multivector is not None])
            near.append(nearness(several, fresh["multivectors"]))
        cosines = np.min(near, axis=0)
        self.report.compared, self.report.worst_cosine = len(stored), float(cosines.min())
        least = _NEAR_BITS if self.rows.info.keeping.precision == "binary" else _NEAR
        for row, cosine in zip(stored, cosines, strict=True):
            if cosine < least:
                self.report.note("wrong", row.id)
                self.broken.append(row.id)
