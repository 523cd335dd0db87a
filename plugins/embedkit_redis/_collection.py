"""A collection over keys of a Redis server, of which `_scripts` tells."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from embedkit.stores import (
    CollectionInfo,
    CollectionSpec,
    Filter,
    FloatArray,
    Hit,
    Page,
    Record,
    RecordBatch,
    StoreError,
    WriteResult,
    check_cursor,
    filterable,
    load_metadata,
    packed,
    unpacked,
)

from ._connection import Server
from ._scripts import REMOVE, WRITE
from ._where import Mask, commands, index_of, mask

_ROWS_A_SCRIPT = 100
"""Rows that the server writes in one step, in which it does nothing else."""
_ROWS_A_READ = 1_000
_BLOCK_BYTES = 1 << 20
_FEW = 8
"""Of a block one vector in so many, or fewer, is read by itself."""
_FIELDS = ("id", "text", "metadata", "hash", "turn")
_DTYPES: dict[str, Any] = {"float32": np.float32, "float16": np.float16, "int8": np.int8, "binary": np.uint8}

_Slots = npt.NDArray[np.int64]


def block_rows(spec: CollectionSpec) -> int:
    """The vectors in a block of a new collection: a MiB of them."""
    return max(1, _BLOCK_BYTES // _bytes(spec.dim, spec.keeping.precision))


class RedisCollection:
    """A `embedkit.stores.contract.Collection` over the keys that begin with ``at``, with blocks of ``each`` vectors."""

    def __init__(self, server: Server, at: str, info: CollectionInfo, each: int) -> None:
        self.info = info
        self._server, self._at, self._each = server, at, each
        self._precision = info.keeping.precision
        self._bytes = _bytes(info.dim, self._precision)

    def upsert(self, batch: RecordBatch) -> WriteResult:
        """Insert or wholly replace rows, a hundred in one step."""
        what = f"writing {len(batch)} rows to {self.info.name!r}"
        columns = zip(
            (row_id.encode() for row_id in batch.ids),
            batch.hashes,
            (text.encode() for text in batch.texts),
            batch.metadata_json(),
            map(index_of, batch.metadata),
            (vector.tobytes() for vector in packed(batch.vectors, self._precision)),
            strict=True,
        )
        rows = list(columns)
        for part in _parts(rows, _ROWS_A_SCRIPT):
            self._run(what, WRITE, [self._bytes, self._each, *(value for row in part for value in row)])
        return WriteResult(len(batch))

    def get(self, ids: Sequence[str], *, with_vectors: bool = False) -> list[Record]:
        """The rows that exist among ``ids``."""
        asked = set(ids)
        slots = self._slots(f"reading from {self.info.name!r}", ids)
        rows = self._rows("reading from", slots, with_vectors=with_vectors)
        return [row for _, _, row in rows if row.id in asked]

    def hashes(self, ids: Sequence[str]) -> dict[str, str]:
        """The content hash of each row that exists among ``ids``."""
        what = f"reading hashes from {self.info.name!r}"
        asked = set(ids)
        slots = self._slots(what, ids)
        found = self._at_once(what, (["HMGET", self._row(slot), "id", "hash"] for slot in slots))
        rows = [(row_id.decode(), digest.decode()) for row_id, digest in found if row_id is not None]
        return {row_id: digest for row_id, digest in rows if row_id in asked}

    def delete(self, *, ids: Sequence[str] | None = None, filter: Filter | None = None) -> int:
        """Delete by ids or by filter, but no row that another writes meanwhile; the number deleted."""
        what = f"deleting from {self.info.name!r}"
        turn, gone = -1, [row_id.encode() for row_id in ids or ()]
        if ids is None:
            turn, found = self._found(what, filter)
            gone = [b"%d" % slot for slot in np.flatnonzero(found)]
        return sum(self._run(what, REMOVE, [turn, *part]) for part in _parts(gone, _ROWS_A_SCRIPT))

    def query(self, vectors: FloatArray, k: int, *, filter: Filter | None = None) -> list[list[Hit]]:
        """The ``k`` nearest rows, found by comparing all, some of their blocks at a time; their scores are computed in double
        precision."""
        turn, found = self._found(f"searching {self.info.name!r}", filter)
        nearest = self._nearest(vectors, np.flatnonzero(found), k)
        rows = {
            slot: row
            for slot, written, row in self._rows("searching", np.unique(nearest), with_vectors=True)
            if written <= turn or filter is None or filter.matches(filterable(row.metadata))
        }
        return [
            self._hits(vector, [rows[slot] for slot in slots.tolist() if slot in rows])
            for vector, slots in zip(vectors, nearest, strict=True)
        ]

    def scan(self, *, filter: Filter | None = None, cursor: str | None = None, limit: int = 1000) -> Page:
        """The next rows in the order of their slots, which they keep while they are there; the cursor is the last one."""
        cursor = check_cursor(cursor, r"[0-9]{1,18}")
        turn, found = self._found(f"reading from {self.info.name!r}", filter)
        begin = 0 if cursor is None else int(cursor) + 1
        slots = np.flatnonzero(found[begin:])[:limit] + begin
        rows = [
            row
            for _, written, row in self._rows("reading from", slots)
            if written <= turn or filter is None or filter.matches(filterable(row.metadata))
        ]
        return Page(rows, str(slots[-1]) if len(slots) == limit else None)

    def count(self, filter: Filter | None = None) -> int:
        """The number of rows that satisfy ``filter``."""
        return int(self._found(f"counting {self.info.name!r}", filter)[1].sum())

    def flush(self) -> None:
        """Return when what was written is on the server's disk, where it keeps an append-only file and is Redis 7.2 or newer."""
        self._server.flush(f"flushing {self.info.name!r}")

    def _found(self, what: str, filter: Filter | None) -> tuple[int, Mask]:
        """The turn, and of each slot whether there was a row then that satisfies the filter."""
        asked = [["GET", f"{self._at}:turn"], ["GET", f"{self._at}:alive"], *commands(filter, self._at)]
        turn, bits, *sets = self._at_once(what, asked)
        alive = np.unpackbits(np.frombuffer(bits or b"", np.uint8)).astype(bool)
        return int(turn or 0), mask(filter, iter(sets), alive)

    def _nearest(self, vectors: FloatArray, slots: _Slots, k: int) -> list[_Slots]:
        """Of each vector the slots of the ``k`` nearest rows."""
        best = np.zeros((len(vectors), 0), np.int64)
        scores = np.zeros((len(vectors), 0), np.float32)
        blocks = slots // self._each
        for part in np.split(slots, np.flatnonzero(np.diff(blocks)) + 1) if len(slots) else []:
            kept = self._vectors(part)
            scores = np.concatenate([scores, _scores(vectors, kept, self.info.metric)], axis=1)
            best = np.concatenate([best, np.broadcast_to(part, (len(vectors), len(part)))], axis=1)
            if best.shape[1] > k:
                first = np.argpartition(-scores, k - 1, axis=1)[:, :k]
                scores, best = np.take_along_axis(scores, first, axis=1), np.take_along_axis(best, first, axis=1)
        return list(best)

    def _vectors(self, slots: _Slots) -> FloatArray:
        """(rows, dim) of slots of one block: its string is read whole, or where few are wanted these by themselves."""
        what = f"searching {self.info.name!r}"
        block, first = self._block(int(slots[0])), int(slots[0]) // self._each * self._each
        if len(slots) * _FEW < self._each:
            found = self._at_once(what, [self._get_vector(slot) for slot in slots.tolist()])
            raw = b"".join(
                piece.ljust(self._bytes, b"\0") for piece in found
            )  # of a row that went away meanwhile: none
            return self._restored(raw)
        (whole,) = self._at_once(what, [["GET", block]])
        raw = (whole or b"").ljust((int(slots[-1]) - first + 1) * self._bytes, b"\0")
        return self._restored(raw)[slots - first]

    def _joined(self, pieces: Iterable[bytes]) -> bytes:
        """Vectors one behind another; of a row that went away meanwhile there may be none."""
        return b"".join(piece.ljust(self._bytes, b"\0") for piece in pieces)

    def _restored(self, raw: bytes) -> FloatArray:
        rows = np.frombuffer(raw, _DTYPES[self._precision]).reshape(len(raw) // self._bytes, -1)
        return unpacked(rows, self._precision, self.info.dim)

    def _rows(
        self, doing: str, slots: Iterable[int], *, with_vectors: bool = False
    ) -> Iterator[tuple[int, int, Record]]:
        """The slot, turn and row of each slot that has one."""
        for part in _parts([int(slot) for slot in slots], _ROWS_A_READ):
            asked: list[list[Any]] = [["HMGET", self._row(slot), *_FIELDS] for slot in part]
            if with_vectors:
                asked += [self._get_vector(slot) for slot in part]
            answers = self._at_once(f"{doing} {self.info.name!r}", asked)
            found, pieces = answers[: len(part)], answers[len(part) :]
            vectors = self._restored(self._joined(pieces)) if with_vectors else [None] * len(part)
            for slot, (row_id, text, kept, digest, turn), vector in zip(part, found, vectors, strict=True):
                if row_id is not None:
                    row = Record(row_id.decode(), text.decode(), load_metadata(kept.decode()), digest.decode(), vector)
                    yield slot, int(turn), row

    def _hits(self, vector: FloatArray, rows: list[Record]) -> list[Hit]:
        if not rows:
            return []
        kept = np.array([row.vector for row in rows], np.float64)
        (scores,) = _scores(vector[None].astype(np.float64), kept, self.info.metric)
        hits = [Hit(row.id, float(score), row.text, row.metadata) for row, score in zip(rows, scores, strict=True)]
        return sorted(hits, key=lambda hit: -hit.score)

    def _slots(self, what: str, ids: Sequence[str]) -> list[int]:
        if not ids:
            return []
        (found,) = self._at_once(what, [["HMGET", f"{self._at}:slots", *(row_id.encode() for row_id in ids)]])
        return [int(slot) for slot in found if slot is not None]

    def _row(self, slot: int) -> str:
        return f"{self._at}:row:{slot}"

    def _block(self, slot: int) -> str:
        return f"{self._at}:block:{slot // self._each}"

    def _get_vector(self, slot: int) -> list[Any]:
        begin = slot % self._each * self._bytes
        return ["GETRANGE", self._block(slot), begin, begin + self._bytes - 1]

    def _run(self, what: str, script: str, arguments: list[Any]) -> int:
        done = self._server.run(what, script, self._at, arguments, frees=script is REMOVE)
        if done < 0:
            self._dropped(what)
        return done

    def _at_once(self, what: str, asked: Iterable[Sequence[Any]]) -> list[Any]:
        exists, *found = self._server.at_once(what, [["EXISTS", self._at], *asked])
        if not exists:
            self._dropped(what)
        return found

    def _dropped(self, what: str) -> None:
        raise StoreError(f"{what}: the collection was dropped meanwhile: open it again")


def _bytes(dim: int, precision: str) -> int:
    return (dim + 7) // 8 if precision == "binary" else dim * int(np.dtype(_DTYPES[precision]).itemsize)


def _scores(vectors: npt.NDArray[Any], kept: npt.NDArray[Any], metric: str) -> npt.NDArray[Any]:
    """Of each of the (n, dim) vectors with each of the (rows, dim): (n, rows)."""
    if metric == "euclidean":
        return np.stack([-np.linalg.norm(kept - vector, axis=1) for vector in vectors])
    return np.asarray(vectors @ kept.T)


def _parts(whole: list[Any], size: int) -> Iterator[list[Any]]:
    for begin in range(0, len(whole), size):
        yield whole[begin : begin + size]
