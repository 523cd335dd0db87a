"""The vectors of a collection in a folder, read from Chroma's log of writes, so that a small collection is searched exactly.

Chroma's index is a graph in which rows lead to their nearest ones. Where more rows than it has edges have one vector, as rows of
equal texts have, they lead to each other alone: no search comes to them, nor to others behind them.
"""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import numpy as np

from embedkit.stores import FloatArray

_ADD, _DELETE = 0, 3
"""Operations in the log; what lies between them, an update or upsert, sets a vector where it has one."""
_WRITES_A_ROW, _FEW = 8, 10_000
"""A log of more writes than so many a row, and more than a few, takes longer to read than it is worth."""


class LoggedVectors:
    """The vectors of a collection that the log has, kept until it has newer ones."""

    def __init__(self, database: Path, collection: str, dim: int) -> None:
        self._database, self._collection, self._dim = database, collection, dim
        self._reading = threading.Lock()
        self._last = 0
        self._vectors: dict[str, bytes] = {}
        self._rows: tuple[list[str], FloatArray] | None = None

    def of(self, count: int) -> tuple[list[str], FloatArray] | None:
        """The ids and the (count, dim) float32 vectors of a collection that has ``count`` rows; None where the log has not
        those of all rows, or is long."""
        with self._reading:
            if not self._read(count) or len(self._vectors) != count:
                self._forget()
                return None
            if self._rows is None:
                rows = np.frombuffer(b"".join(self._vectors.values()), np.float32).reshape(count, self._dim)
                self._rows = list(self._vectors), rows
            return self._rows

    def _forget(self) -> None:
        self._last, self._vectors, self._rows = 0, {}, None

    def _read(self, count: int) -> bool:
        """Take over what is new in the log; False where it is not what is expected."""
        with closing(sqlite3.connect(self._database, timeout=30)) as database:
            new = "FROM embeddings_queue WHERE seq_id > ? AND topic LIKE '%/' || ?"
            which = [self._last, self._collection]
            (writes,) = database.execute(f"SELECT count(*) {new}", which).fetchone()
            if writes > max(_FEW, _WRITES_A_ROW * count):
                return False
            columns = "seq_id, operation, id, vector, encoding"
            for number, operation, row_id, vector, encoding in database.execute(
                f"SELECT {columns} {new} ORDER BY seq_id", which
            ):
                self._last, self._rows = number, None
                if operation == _DELETE:
                    self._vectors.pop(row_id, None)
                elif vector is None or (operation == _ADD and row_id in self._vectors):
                    continue  # Chroma keeps what a row has, which is added once more
                elif encoding != "FLOAT32" or len(vector) != 4 * self._dim:
                    return False
                else:
                    self._vectors[row_id] = vector
        return True


def nearest(asked: FloatArray, rows: FloatArray, k: int, *, euclidean: bool) -> list[list[tuple[int, float]]]:
    """For each of the (n, dim) vectors the numbers and scores of the ``k`` nearest of the (m, dim) ``rows``, best first."""
    out = []
    for vector in asked:
        scores = -np.linalg.norm(rows - vector, axis=1) if euclidean else rows @ vector
        best = np.argpartition(-scores, min(k, len(rows)) - 1)[:k] if len(rows) else np.empty(0, np.intp)
        best = best[np.argsort(-scores[best], kind="stable")]
        out.append(list(zip(best.tolist(), scores[best].tolist(), strict=True)))
    return out
