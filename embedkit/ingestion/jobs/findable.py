"""Rows that a collection keeps and its index has lost: no search finds them, not even one for their own vector."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from embedkit.records.documents import Hit, Record
from embedkit.stores.guarded import GuardedCollection
from embedkit.vectors.arrays import FloatArray

_TOGETHER = 100
_DEPTHS = (10, 100, 1000)
"""Hits among which a row is looked for: more where an approximate index missed it, or where others are as near."""
_ROUNDING = 1e-4


def unfindable(rows: GuardedCollection, ids: Sequence[str]) -> Iterator[str]:
    """Those of the rows ``ids`` that searches for their own dense vectors leave out, though they give rows that are less near.
    A row is not judged where a thousand others are as near as itself."""
    count = rows.count()
    for start in range(0, len(ids), _TOGETHER):
        missed, without = rows.whole(ids[start : start + _TOGETHER])
        yield from without
        lost: list[Record] = []
        for depth in _DEPTHS if missed else ():
            # A store that is asked for as many rows as it has may compare them all, which hides what its index lost.
            k = max(1, min(depth, count // 2))
            missed, lost = _missed(rows, missed, k)
            if not missed:
                break
        yield from (record.id for record in lost)


def _missed(rows: GuardedCollection, records: list[Record], k: int) -> tuple[list[Record], list[Record]]:
    """The rows that are not among the ``k`` hits for their own vectors, and those of them that must have been."""
    vectors = np.stack([np.asarray(record.vector, np.float32) for record in records])
    found = rows.query(vectors, k)
    missed = [i for i, hits in enumerate(found) if records[i].id not in {hit.id for hit in hits}]
    return (
        [records[i] for i in missed],
        [records[i] for i in missed if _must_be_there(_own_score(vectors[i], rows.info.metric), found[i], k)],
    )


def _own_score(vector: FloatArray, metric: str) -> float:
    return 0.0 if metric == "euclidean" else float(vector @ vector)


def _must_be_there(own: float, hits: list[Hit], k: int) -> bool:
    return len(hits) < k or hits[-1].score < own - _ROUNDING * max(1.0, abs(own))
