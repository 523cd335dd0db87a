"""Sparse vectors: rows of few numbers among very many, such as the weights of words of a vocabulary."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import numpy.typing as npt

from embedkit.checks import integer, positive
from embedkit.errors import InputError

from .ragged import gather, loaded, numbers, one_size, vars_of

if TYPE_CHECKING:
    from .arrays import FloatArray

Indices = npt.NDArray[np.int32]
_BLOCK = 1 << 24
"""Numbers of a dense block that a product with sparse rows works on."""


@dataclass(frozen=True, slots=True, eq=False)
class SparseVectors:
    """n rows of ``dim`` numbers of which few are not zero, as compressed sparse rows: row i holds ``values[k]`` at
    ``indices[k]`` for k from ``offsets[i]`` to ``offsets[i + 1]``.

    ``offsets`` (n + 1,) int64, ``indices`` (m,) int32, rising within a row, ``values`` (m,) float32, finite and not zero.
    ``len``, iteration over rows, an integer (one row as (indices, values)), a slice and an array of row numbers work as
    for arrays. Raises `InputError` where the parts do not fit together.
    """

    offsets: npt.NDArray[np.int64]
    indices: Indices
    values: FloatArray
    dim: int

    def __post_init__(self) -> None:
        dim = int(self.dim) if isinstance(self.dim, np.integer) else self.dim
        object.__setattr__(self, "dim", integer("SparseVectors.dim", dim, least=0))
        for name, dtype in (("offsets", np.int64), ("indices", np.int32), ("values", np.float32)):
            array = numbers(getattr(self, name), dtype, f"SparseVectors.{name}")
            if array.ndim != 1:
                raise InputError(f"SparseVectors.{name}: expected one axis, found the shape {array.shape}")
            object.__setattr__(self, name, array)
        offsets, indices = self.offsets, self.indices
        if not len(offsets) or offsets[0] or (np.diff(offsets) < 0).any() or offsets[-1] != len(indices):
            raise InputError(f"SparseVectors.offsets: expected rising numbers from 0 to {len(indices)}")
        if len(self.values) != len(indices):
            raise InputError(f"SparseVectors.values: expected {len(indices)} entries, found {len(self.values)}")
        if len(indices) and not (indices.min() >= 0 and indices.max() < self.dim):
            raise InputError(f"SparseVectors.indices: expected numbers from 0 to {self.dim - 1}")
        rising = np.diff(indices) > 0
        borders = offsets[1:-1]
        rising[borders[(borders > 0) & (borders < len(indices))] - 1] = True
        if not rising.all():
            raise InputError("SparseVectors.indices: expected rising numbers in each row, each once")
        if not (np.isfinite(self.values).all() and self.values.all()):
            raise InputError("SparseVectors.values: expected finite numbers other than zero")

    @classmethod
    def of(cls, dense: npt.ArrayLike, *, top: int | None = None) -> SparseVectors:
        """The numbers of an (n, dim) array that are not zero; of each row no more than the ``top`` largest, of equal ones
        those with the lower index."""
        array = numbers(dense, np.float32, "SparseVectors.of")
        if array.ndim != 2:
            raise InputError(f"expected an array of shape (n, dim), found {array.shape}")
        rows, columns = np.nonzero(array)
        offsets = np.concatenate([[0], np.bincount(rows, minlength=len(array)).cumsum()])
        found = cls(offsets, columns.astype(np.int32), array[rows, columns], array.shape[1])
        return found if top is None else found.top(top)

    @classmethod
    def of_rows(cls, rows: Iterable[tuple[npt.ArrayLike, npt.ArrayLike]], dim: int) -> SparseVectors:
        """Rows of (indices, values), the indices in any order, each once; zeros are left out."""
        indices, values = [], []
        for row_indices, row_values in rows:
            where = numbers(row_indices, np.int32, "a row's indices").ravel()
            what = numbers(row_values, np.float32, "a row's values").ravel()
            if len(where) != len(what):
                raise InputError(f"expected as many values as indices in a row, found {len(what)} and {len(where)}")
            order = np.argsort(where, kind="stable")
            order = order[what[order] != 0]
            indices.append(where[order])
            values.append(what[order])
        lengths = [len(row) for row in indices]
        return cls(
            np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
            np.concatenate(indices) if indices else np.empty(0, np.int32),
            np.concatenate(values) if values else np.empty(0, np.float32),
            dim,
        )

    @classmethod
    def concatenate(cls, parts: Sequence[SparseVectors]) -> SparseVectors:
        """All rows of several, which are at least one and of one size."""
        one_size([part.dim for part in parts])
        shifts = np.cumsum([0, *(len(part.indices) for part in parts)])
        offsets = [part.offsets[1:] + shift for part, shift in zip(parts, shifts, strict=False)]
        return cls(
            np.concatenate([np.zeros(1, np.int64), *offsets]),
            np.concatenate([part.indices for part in parts]),
            np.concatenate([part.values for part in parts]),
            parts[0].dim,
        )

    @property
    def shape(self) -> tuple[int, int]:
        """(n, dim)."""
        return len(self), self.dim

    @property
    def nbytes(self) -> int:
        """Bytes of the three arrays."""
        return self.offsets.nbytes + self.indices.nbytes + self.values.nbytes

    def __repr__(self) -> str:
        return f"SparseVectors({len(self)} rows of {self.dim} numbers, {len(self.values)} not zero)"

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __iter__(self) -> Iterator[tuple[Indices, FloatArray]]:
        return (self[i] for i in range(len(self)))

    @overload
    def __getitem__(self, which: int) -> tuple[Indices, FloatArray]: ...
    @overload
    def __getitem__(self, which: slice | npt.ArrayLike) -> SparseVectors: ...
    def __getitem__(self, which: Any) -> tuple[Indices, FloatArray] | SparseVectors:
        if isinstance(which, int | np.integer):
            row = range(len(self))[which]
            part = slice(self.offsets[row], self.offsets[row + 1])
            return self.indices[part], self.values[part]
        rows = np.arange(len(self))[which]
        offsets, places = gather(self.offsets, rows)
        return SparseVectors(offsets, self.indices[places], self.values[places], self.dim)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SparseVectors):
            return NotImplemented
        mine, theirs = (vars_of(x) for x in (self, other))
        return self.dim == other.dim and all(np.array_equal(a, b) for a, b in zip(mine, theirs, strict=True))

    __hash__ = None  # type: ignore[assignment]

    def top(self, count: int) -> SparseVectors:
        """The ``count`` largest numbers of each row; of equal ones those with the lower index."""
        positive("top", count)
        lengths = np.diff(self.offsets)
        if not (lengths > count).any():
            return self
        rows = np.repeat(np.arange(len(self)), lengths)
        order = np.lexsort((self.indices, -self.values, rows))
        rank = np.arange(len(order)) - np.repeat(self.offsets[:-1], lengths)
        kept = np.sort(order[rank < count])
        offsets = np.concatenate([[0], np.minimum(lengths, count).cumsum()])
        return SparseVectors(offsets, self.indices[kept], self.values[kept], self.dim)

    def lengths(self) -> FloatArray:
        """(n,) float32: the Euclidean length of each row."""
        rows = np.repeat(np.arange(len(self)), np.diff(self.offsets))
        squares = np.bincount(rows, weights=self.values.astype(np.float64) ** 2, minlength=len(self))
        return np.sqrt(squares).astype(np.float32)

    def dense(self) -> FloatArray:
        """(n, dim) float32."""
        out = np.zeros(self.shape, dtype=np.float32)
        out[np.repeat(np.arange(len(self)), np.diff(self.offsets)), self.indices] = self.values
        return out

    def dot(self, other: SparseVectors) -> FloatArray:
        """(n, m) float32 dot products of these rows with those of ``other``, summed in float64."""
        if not isinstance(other, SparseVectors):
            raise InputError(f"dot: expected SparseVectors, found {type(other).__name__}; SparseVectors.of makes them")
        one_size([self.dim, other.dim])
        out = np.zeros((len(self), len(other)), dtype=np.float32)
        block = max(1, _BLOCK // max(1, self.dim))
        columns = other.offsets[:-1]
        full = np.flatnonzero(np.diff(other.offsets))
        for start in range(0, len(self), block):
            dense = self[start : start + block].dense().astype(np.float64)
            for i, row in enumerate(dense):
                if len(full):
                    out[start + i, full] = np.add.reduceat(row[other.indices] * other.values, columns[full])
        return out

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write to ``path``, a ``.npz`` file; `load` gives back the same numbers."""
        with open(path, "wb") as file:
            np.savez(file, offsets=self.offsets, indices=self.indices, values=self.values, dim=np.int64(self.dim))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> SparseVectors:
        """What `save` wrote; `InputError` where the file holds something else."""
        parts = loaded(path, ("offsets", "indices", "values", "dim"), "SparseVectors.save")
        return cls(parts["offsets"], parts["indices"], parts["values"], parts["dim"].tolist())
