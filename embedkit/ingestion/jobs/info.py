"""What a collection is: how many rows and bytes, of which model, how it is kept, and how well its index finds."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from embedkit.checks import integer
from embedkit.stores.contract import MeasuredCollection
from embedkit.stores.fingerprint import bundle_of
from embedkit.stores.guarded import GuardedCollection, GuardedStore
from embedkit.stores.opening import opened
from embedkit.vectors.arrays import FloatArray
from embedkit.vectors.similarity import similarity

from .check import Sample

SAMPLED = 100
"""Rows whose vectors are searched for, unless it is told otherwise."""
_K, _PAGE = 10, 1_000


@dataclass(frozen=True, slots=True)
class CollectionReport:
    """A ``collection``, to which the ``name`` leads: its ``rows``; the ``bytes`` of the store that are its own (None where the store does
    not tell); the ``index`` by which it is searched, in words; the fingerprint of the ``model`` and that of the collection; the
    numbers in a dense vector (``dim``), the size of a sparse one's vocabulary and the numbers in each of several vectors, 0 where
    it has none; their ``precision`` and the ``settings`` of their index. ``recall`` is the part of the 10 rows nearest to some of
    its own vectors, by comparing all rows as they are kept, that a search finds, from 0 to 1; None where none was made, or there are
    no dense vectors. ``sampled`` vectors were searched for."""

    name: str
    collection: str
    rows: int
    bytes: int | None
    index: str
    metric: str
    model: str
    fingerprint: str
    dim: int
    sparse: int
    multivector: int
    precision: str
    settings: dict[str, int]
    recall: float | None
    sampled: int

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    def __str__(self) -> str:
        sizes = {"dense": self.dim, "sparse": self.sparse, "several a row": self.multivector}
        kept = ", ".join(f"{kind} of {size:,}" for kind, size in sizes.items() if size)
        settings = "".join(f", {name}={value}" for name, value in self.settings.items())
        lines = [
            f"{self.name}: {self.rows:,} rows" + (f", in {self.collection}" if self.collection != self.name else ""),
            f"  bytes      {'not told by this store' if self.bytes is None else f'{self.bytes:,}'}",
            f"  vectors    {kept}; {self.precision}; by {self.metric}",
            f"  index      {self.index}{settings}",
            f"  model      {self.model or 'not named'}",
        ]
        if self.fingerprint != self.model:
            lines.append(f"  fingerprint {self.fingerprint}")
        if self.recall is not None:
            lines.append(
                f"  recall@10  {self.recall:.4f} of {self.sampled:,} of its own vectors, against all rows compared"
            )
        return "\n".join(lines)


def info(store: GuardedStore | str, *, collection: str, sample: int = SAMPLED) -> CollectionReport:
    """Look at a collection.

    Args:
        store: what `embedkit.open_store` returned, or a store URL.
        collection: its name.
        sample: so many of its rows (chosen at random, the same at each call) are searched for by their own dense vectors, and the
            answers compared with those of all rows compared here, for which all vectors are read; 100 by default, 0 for none.

    Returns:
        What was found.

    Raises:
        CollectionNotFoundError: there is no such collection.
    """
    integer("sample", sample, least=0)
    with opened(store, make=False) as connection:
        rows = connection.open(collection)
        about, keeping = rows.info, rows.info.keeping
        count = rows.count()
        size, index = None, "an index of the store" if rows.caps.indexed else "none: all rows are compared"
        if isinstance(rows.inner, MeasuredCollection):
            measured = rows.inner.measured()
            size, index = measured.bytes, measured.index
        asked = min(sample, count) if about.dim else 0
        return CollectionReport(
            name=collection,
            collection=about.name,
            rows=count,
            bytes=size,
            index=index,
            metric=about.metric,
            model=bundle_of(about.fingerprint),
            fingerprint=about.fingerprint,
            dim=about.dim,
            sparse=about.sparse,
            multivector=about.multivector,
            precision=keeping.precision,
            settings=dict(keeping.index),
            recall=recall_of(rows, asked) if asked else None,
            sampled=asked,
        )


def recall_of(rows: GuardedCollection, sample: int) -> float:
    """The part of the nearest rows of ``sample`` of the rows that a search finds, of as many as ten, or as there are."""
    chosen: Sample[str] = Sample(sample)
    for page in rows.pages(size=_PAGE):
        for row in page:
            chosen.offer(row.id)
    asked = np.stack([np.asarray(row.vector, np.float32) for row in rows.whole(chosen.kept)[0]])
    found = rows.query(asked, _K)
    scores = np.full((len(asked), 0), -np.inf, np.float32)
    ids: list[list[str]] = [[] for _ in asked]
    for page in rows.pages(size=_PAGE):
        kept = rows.whole([row.id for row in page])[0]
        if not kept:
            continue
        near = similarity(asked, np.stack([row.vector for row in kept if row.vector is not None]), fn=rows.info.metric)
        scores, ids = _best(np.hstack([scores, near]), [[*known, *(row.id for row in kept)] for known in ids])
    parts = []
    for hits, best, names in zip(found, scores, ids, strict=True):
        # A row as near as the last of the best is as good as it.
        least = best.min() - 1e-4 * max(1.0, abs(float(best.min())))
        good = sum(hit.id in names or hit.score >= least for hit in hits)
        parts.append(min(good, len(names)) / len(names))
    return float(np.mean(parts))


def _best(scores: FloatArray, ids: list[list[str]]) -> tuple[FloatArray, list[list[str]]]:
    """The ten highest of each row of scores, and their ids."""
    order = np.argsort(-scores, axis=1, kind="stable")[:, :_K]
    return np.take_along_axis(scores, order, axis=1), [
        [names[i] for i in row] for names, row in zip(ids, order, strict=True)
    ]
