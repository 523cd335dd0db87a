"""Rows that are nearly the same as others, left out as they come."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from embedkit.ingestion.chunking.places import place_of
from embedkit.ingestion.rows.reading import Fresh
from embedkit.records.documents import Document
from embedkit.stores.keeping import rounded
from embedkit.stores.writer import Writer
from embedkit.vectors.arrays import FloatArray, unit_length

_SLACK = 1e-6
"""Vectors of float32 that are nearly equal have a cosine a little less than 1."""
_ROUNDED = 0.01
"""How far a store's score may be below the cosine, as of vectors that it keeps in float16."""
_Directions: TypeAlias = npt.NDArray[np.float64]


class NearDuplicates:
    """Tells which rows of a window are nearly the same as one that the collection has, or as one before them in the window that is kept:
    by the cosine of their dense vectors, as these are kept, ``threshold`` or more.

    A row whose id the collection has already is kept, since it takes the place of what is there; and so is the first chunk of a
    document that is cut into several, since it says how many there are. It is called with one window after the other, each once
    those before it are written.
    """

    def __init__(self, writer: Writer, threshold: float) -> None:
        self._writer, self.threshold = writer, threshold

    def __call__(self, rows: Sequence[Fresh], vectors: FloatArray) -> dict[int, str]:
        """The numbers of the rows that are to be left out, each with the reason. Raises `StoreError`."""
        known = self._writer.hashes([document.id for document, _ in rows])
        free = [
            number for number, (document, _) in enumerate(rows) if document.id not in known and not _leads(document)
        ]
        out: dict[int, str] = {}
        if not free:
            return out
        own = self._directions(vectors)
        for number, (row_id, cosine) in self._nearest(vectors[free], own[free]).items():
            if cosine >= self.threshold - _SLACK:
                out[free[number]] = _reason(row_id, cosine)
        cosines = own @ own.T
        for number in free:
            if number in out:
                continue
            near = np.flatnonzero(cosines[number, :number] >= self.threshold - _SLACK)
            before = [other for other in near.tolist() if other not in out]
            if before:
                nearest = before[int(cosines[number, before].argmax())]
                out[number] = _reason(rows[nearest][0].id, float(cosines[number, nearest]))
        return out

    def _nearest(self, vectors: FloatArray, own: _Directions) -> dict[int, tuple[str, float]]:
        """By their numbers the vectors that are near a row of the collection, with its id and their cosine, which is computed here: stores
        round theirs in ways of their own."""
        hits = {
            number: hit.id
            for number, hit in enumerate(self._writer.nearest(vectors))
            if hit is not None and hit.score >= self.threshold - _ROUNDED
        }
        stored = {row.id: row.vector for row in self._writer.whole(list(dict.fromkeys(hits.values())))}
        found = [(number, row_id, stored[row_id]) for number, row_id in hits.items() if stored.get(row_id) is not None]
        if not found:
            return {}
        theirs = self._directions(np.stack([np.asarray(vector, np.float32) for _, _, vector in found]))
        cosines = (own[[number for number, _, _ in found]] * theirs).sum(axis=1).tolist()
        return {number: (row_id, cosine) for (number, row_id, _), cosine in zip(found, cosines, strict=True)}

    def _directions(self, vectors: FloatArray) -> _Directions:
        """(n, dim) float64 of unit length, of vectors as the collection keeps them."""
        keeping = self._writer.collection.info.keeping
        kept = unit_length(vectors) if keeping.full else rounded(unit_length(vectors), keeping.base)
        wide = kept.astype(np.float64)
        return np.asarray(wide / np.maximum(np.linalg.norm(wide, axis=1, keepdims=True), 1e-30))


def _leads(document: Document) -> bool:
    """Whether a row is the first of several chunks."""
    place = place_of(document.id, document.metadata)
    return place is not None and place.number == 0 and place.count > 1


def _reason(row_id: str, cosine: float) -> str:
    return f"nearly the same as {row_id!r} (cosine {min(cosine, 1.0):.4f})"
