"""Searches of a Chroma collection.

Chroma's index is a graph in which rows lead to their nearest ones. A search comes to no row that others lead to no more, as where
many have one vector, or rows around it were replaced, however many hits it is asked for. So what an index leaves out of a
small collection is compared one by one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from copy import deepcopy
from typing import Any, TypeAlias

import numpy as np

from embedkit.stores import FloatArray, Hit, Record, load_metadata

from ._errors import translated
from ._rows import JSON, Rows
from ._vectors import LoggedVectors, nearest

HITS = 10_000
"""Most hits of one request to the index: each is one of the 32,766 parameters of a statement."""
INDEX_FROM_ROWS = 10_000
"""Rows from which a folder's index is searched; fewer are compared one by one, exactly."""
PARTLY_FROM_ROWS = 2_000
"""Rows from which an index is asked for no more than it was asked for; of fewer it gives all that it comes to, in milliseconds."""

_Best: TypeAlias = list[list[tuple[str, float]]]
"""For each vector ids with their scores, best first."""


class Search:
    """The nearest rows of a collection, of whose vectors a folder's log has some."""

    def __init__(self, rows: Rows, logged: LoggedVectors | None) -> None:
        self._rows, self._logged = rows, logged
        self._doing = f"searching {rows.info.name!r}"
        self._euclidean = rows.info.metric == "euclidean"

    def hits(self, vectors: FloatArray, k: int, condition: dict[str, Any] | None) -> list[list[Hit]]:
        """The ``k`` nearest rows that fulfil a condition to each of the (n, dim) vectors."""
        with translated(self._doing):
            count = int(self._rows.inner.count())
        best = self._logged_best(vectors, k, condition, count)
        if best is None and count < PARTLY_FROM_ROWS:
            best = self._all_best(vectors, k, condition)
        return self._read(best) if best is not None else self._indexed(vectors, k, condition)

    def _logged_best(self, vectors: FloatArray, k: int, condition: dict[str, Any] | None, count: int) -> _Best | None:
        """By comparing all rows; None where they are too many, or not all in the log."""
        if self._logged is None or count >= INDEX_FROM_ROWS:
            return None
        with translated(self._doing):
            kept = self._logged.of(count)
        if kept is None:
            return None
        ids, rows = kept
        if condition is not None:
            some = set(self._rows.ids(condition))
            which = [i for i, row_id in enumerate(ids) if row_id in some]
            ids, rows = [ids[i] for i in which], rows[which]
        best = nearest(vectors, rows, k, euclidean=self._euclidean)
        return [[(ids[i], score) for i, score in found] for found in best]

    def _all_best(self, vectors: FloatArray, k: int, condition: dict[str, Any] | None) -> _Best:
        """By all that the index comes to, and the vectors of the other rows."""
        ids = self._rows.ids(condition)
        best: _Best = []
        for found in self._asked(vectors, len(ids), condition, ["distances"]) if ids else ():
            columns = zip(found["ids"], found["distances"], strict=True)
            best += [[(i, self._score(far)) for i, far in zip(*hits, strict=True)] for hits in columns]
        best = best or [[] for _ in vectors]
        known = [{row_id for row_id, _ in found} for found in best]
        rest = [row_id for row_id in ids if not all(row_id in there for there in known)]
        for part in self._rows.parts(rest, with_vectors=True):
            for record, scores in self._scored(vectors, part):
                for found, there, score in zip(best, known, scores, strict=True):
                    if record.id not in there:
                        found.append((record.id, score))
        return [sorted(found, key=lambda pair: (-pair[1], pair[0]))[:k] for found in best]

    def _indexed(self, vectors: FloatArray, k: int, condition: dict[str, Any] | None) -> list[list[Hit]]:
        """By the index alone, but where it gives fewer hits than there are: it may not, and not all of more than `HITS`."""
        out = []
        for found in self._asked(vectors, min(k, HITS), condition, ["metadatas", "documents", "distances"]):
            answers = zip(found["ids"], found["distances"], found["documents"], found["metadatas"], strict=True)
            out += [
                [
                    Hit(row_id, self._score(far), text, load_metadata(row[JSON]))
                    for row_id, far, text, row in zip(*columns, strict=True)
                ]
                for columns in answers
            ]
        if any(len(hits) < k for hits in out):
            ids = self._rows.ids(condition)
            short = [i for i, hits in enumerate(out) if len(hits) < min(k, len(ids))]
            if short:
                self._complete([out[i] for i in short], vectors[short], ids, k)
        return out

    def _asked(self, vectors: FloatArray, k: int, condition: dict[str, Any] | None, include: list[str]) -> list[Any]:
        """What the index answers, to some of the vectors at once."""
        together = max(1, HITS // k)
        with translated(self._doing):
            return [
                self._rows.inner.query(
                    query_embeddings=vectors[start : start + together], n_results=k, where=condition, include=include
                )
                for start in range(0, len(vectors), together)
            ]

    def _complete(self, short: list[list[Hit]], vectors: FloatArray, ids: Sequence[str], k: int) -> None:
        """Add to the hits of each of the vectors (n, dim) those of the rows ``ids`` that are missing, up to ``k`` in all."""
        known = [{hit.id for hit in hits} for hits in short]
        common = set.intersection(*known)
        for part in self._rows.parts([row_id for row_id in ids if row_id not in common], with_vectors=True):
            for record, scores in self._scored(vectors, part):
                for hits, there, score in zip(short, known, scores, strict=True):
                    if record.id not in there:
                        hits.append(Hit(record.id, score, record.text, record.metadata))
            for hits in short:
                hits.sort(key=lambda hit: (-hit.score, hit.id))
                del hits[k:]

    def _read(self, best: _Best) -> list[list[Hit]]:
        """Hits with what the rows keep; a row that is gone meanwhile is none."""
        wanted = sorted({row_id for found in best for row_id, _ in found})
        rows = {record.id: record for record in self._rows.of(wanted)}
        return [
            [
                Hit(row_id, score, rows[row_id].text, deepcopy(rows[row_id].metadata))
                for row_id, score in found
                if row_id in rows
            ]
            for found in best
        ]

    def _score(self, far: float) -> float:
        """Chroma's inner-product distance is 1 - score, its other one the square."""
        return -math.sqrt(max(far, 0.0)) if self._euclidean else 1.0 - far

    def _scored(self, vectors: FloatArray, records: list[Record]) -> Iterator[tuple[Record, list[float]]]:
        """The rows that have a vector, each with its score for each of the vectors (n, dim)."""
        for record in records:
            if record.vector is not None:
                far = np.linalg.norm(vectors - record.vector, axis=1) if self._euclidean else None
                yield record, (vectors @ record.vector if far is None else -far).tolist()
