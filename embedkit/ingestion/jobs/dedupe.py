"""Rows of a collection that are nearly the same, found by their stored vectors."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import numpy as np
from tqdm import tqdm

from embedkit.checks import boolean, real
from embedkit.errors import OptionError
from embedkit.ingestion.pipeline.lock import one_writer
from embedkit.records.documents import Hit, Record
from embedkit.records.filters import Filter
from embedkit.stores.guarded import GuardedCollection, GuardedStore
from embedkit.stores.opening import opened

_TOGETHER = 100
_FIRST, _MORE, _MOST = 20, 5, 10_000
"""Rows near another that are looked at first, how many times as many where all of them are as near, and at most."""
_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Duplicates:
    """A row that is ``kept``, and by their ids the rows after it that are nearly the same, with the cosine of each."""

    kept: str
    others: dict[str, float]


@dataclass(frozen=True, slots=True)
class DedupeReport:
    """``groups`` of near-duplicates among the ``rows`` that were looked at; ``deleted`` rows are gone."""

    collection: str
    rows: int
    groups: list[Duplicates]
    deleted: int = 0

    @property
    def duplicates(self) -> int:
        """The rows that are nearly the same as one that is kept."""
        return sum(len(group.others) for group in self.groups)

    def to_json(self) -> str:
        """One JSON object on one line."""
        return json.dumps(asdict(self) | {"duplicates": self.duplicates})

    def __str__(self) -> str:
        lines = [
            f"collection {self.collection}: {self.rows:,} rows, {self.duplicates:,} nearly the same as one of {len(self.groups):,} others, "
            f"{self.deleted:,} deleted"
        ]
        for group in self.groups[:_SHOWN]:
            others = ", ".join(f"{row_id} ({cosine:.4f})" for row_id, cosine in list(group.others.items())[:_SHOWN])
            lines.append(f"  {group.kept}: {others}{', ...' if len(group.others) > _SHOWN else ''}")
        return "\n".join([*lines, "  ..."] if len(self.groups) > _SHOWN else lines)


def dedupe(
    store: GuardedStore | str,
    *,
    collection: str,
    threshold: float = 0.95,
    filter: Filter | None = None,
    delete: bool = False,
    progress: bool | None = False,
) -> DedupeReport:
    """Find rows whose vectors are nearly those of others; no model is loaded.

    Rows are taken in the order of their ids. One whose cosine with a row before it that is kept is ``threshold`` or more is a duplicate
    of that (of the nearest such); so no row goes that has none as near among those that stay. Rows are found by the store's
    own search: an approximate index may miss some.

    Args:
        store: what `embedkit.open_store` returned, or a store URL.
        collection: its name.
        threshold: the least cosine of near-duplicates, above 0 and at most 1; 0.95 by default.
        filter: only rows that satisfy it are compared, made with `embedkit.F`; None for all.
        delete: True deletes the duplicates, and keeps the first of each group; False by default.
        progress: whether a bar is drawn on stderr; None: where stderr is a terminal; False by default.

    Returns:
        The groups of duplicates, by the ids of the rows that are kept.

    Raises:
        CollectionNotFoundError: there is no such collection.
        OptionError: it keeps no dense vectors that are compared by cosine.
        StoreError: an ingest writes to the collection, where rows are to be deleted.
    """
    real("threshold", threshold, least=1e-6, most=1.0)
    boolean("delete", delete)
    with opened(store, make=False) as connection:
        rows = connection.open(collection)
        if not rows.info.dim or rows.info.metric != "cosine":
            raise OptionError(f"dedupe: collection {collection!r} keeps no dense vectors that are compared by cosine")
        if not delete:
            return _found(rows, collection, threshold, filter, progress)
        with one_writer(connection, collection):
            report = _found(rows, collection, threshold, filter, progress)
            doomed = [row_id for group in report.groups for row_id in group.others]
            if doomed:
                rows.delete(ids=doomed)
                rows.flush()
        return DedupeReport(collection, report.rows, report.groups, len(doomed))


def _found(
    rows: GuardedCollection, collection: str, threshold: float, filter: Filter | None, progress: bool | None
) -> DedupeReport:
    ids = sorted(row.id for row in rows.records(filter))
    groups: dict[str, dict[str, float]] = {}
    dropped: set[str] = set()
    with tqdm(total=len(ids), unit="row", disable=None if progress is None else not progress) as bar:
        for start in range(0, len(ids), _TOGETHER):
            part = ids[start : start + _TOGETHER]
            for record, hits in _near(rows, rows.whole(part)[0], threshold, filter, len(ids)):
                # Of those that are as near the first: a hit's order among equal ones is by id.
                kept = next((hit for hit in hits if hit.id < record.id and hit.id not in dropped), None)
                if kept is not None:
                    dropped.add(record.id)
                    groups.setdefault(kept.id, {})[record.id] = min(kept.score, 1.0)
            bar.update(len(part))
    return DedupeReport(collection, len(ids), [Duplicates(kept, groups[kept]) for kept in sorted(groups)])


def _near(
    rows: GuardedCollection, records: list[Record], threshold: float, filter: Filter | None, count: int
) -> Iterator[tuple[Record, list[Hit]]]:
    """Each of the records with the rows whose cosine with it is large enough, nearest first."""
    vectors = np.stack([np.asarray(record.vector, np.float32) for record in records]) if records else np.empty((0, 1))
    found: dict[int, list[Hit]] = {}
    open_, k = list(range(len(records))), min(_FIRST, count)
    while open_:
        found.update(zip(open_, rows.query(vectors[open_], k, filter=filter), strict=True))
        # A cosine that is computed in float32 may be a little less than 1 of equal vectors.
        open_ = [i for i in open_ if len(found[i]) == k < count and found[i][-1].score >= threshold - 1e-6]
        if k >= _MOST:
            break
        k = min(_MORE * k, _MOST, count)
    for place, record in enumerate(records):
        yield record, [hit for hit in found[place] if hit.score >= threshold - 1e-6]
