"""Several vectors a text: one a token, as late interaction compares them."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import numpy.typing as npt

from embedkit.checks import items_of, positive
from embedkit.errors import InputError

from .ragged import gather, loaded, numbers, one_size, vars_of

if TYPE_CHECKING:
    from .arrays import FloatArray

_BLOCK = 1 << 22
"""Scores of token pairs that are held at a time."""


@dataclass(frozen=True, slots=True, eq=False)
class MultiVectors:
    """n texts with any number of vectors each, without padding: text i has ``values[offsets[i]:offsets[i + 1]]``.

    ``offsets`` (n + 1,) int64, ``values`` (m, dim) float32, finite. ``len``, iteration over texts, an integer (one text's
    (k, dim) array), a slice and an array of numbers work as for arrays. Raises `InputError` where the parts do not fit
    together.
    """

    offsets: npt.NDArray[np.int64]
    values: FloatArray

    def __post_init__(self) -> None:
        object.__setattr__(self, "offsets", numbers(self.offsets, np.int64, "MultiVectors.offsets"))
        object.__setattr__(self, "values", numbers(self.values, np.float32, "MultiVectors.values"))
        offsets, values = self.offsets, self.values
        if values.ndim != 2 or not values.shape[1]:
            raise InputError(f"MultiVectors.values: expected the shape (m, dim), found {values.shape}")
        if offsets.ndim != 1 or not len(offsets) or offsets[0] or (np.diff(offsets) < 0).any():
            raise InputError("MultiVectors.offsets: expected rising numbers from 0")
        if offsets[-1] != len(values):
            raise InputError(f"MultiVectors.offsets: expected {len(values)} at the end, found {offsets[-1]}")
        if not np.isfinite(values).all():
            raise InputError("MultiVectors.values: found NaN or infinity")

    @classmethod
    def of(cls, texts: Iterable[npt.ArrayLike], dim: int | None = None) -> MultiVectors:
        """Of (k, dim) arrays, one a text; ``dim`` is needed where there is none, and else must be theirs."""
        arrays = [
            numbers(text, np.float32, f"the vectors of text {i}")
            for i, text in enumerate(items_of("MultiVectors.of", texts, "array", ordered=False))
        ]
        wrong = next((array.shape for array in arrays if array.ndim != 2), None)
        if wrong is not None:
            raise InputError(f"expected arrays of shape (k, dim), found {wrong}")
        if dim is not None:
            positive("dim", dim)
        one_size([array.shape[1] for array in arrays] + ([] if dim is None and arrays else [dim or 1]))
        offsets = np.concatenate([[0], np.cumsum([len(array) for array in arrays])]).astype(np.int64)
        return cls(offsets, np.concatenate(arrays) if arrays else np.empty((0, dim or 1), np.float32))

    @classmethod
    def concatenate(cls, parts: Sequence[MultiVectors]) -> MultiVectors:
        """All texts of several, which are at least one and of one size."""
        one_size([part.dim for part in parts])
        shifts = np.cumsum([0, *(len(part.values) for part in parts)])
        offsets = [part.offsets[1:] + shift for part, shift in zip(parts, shifts, strict=False)]
        return cls(np.concatenate([np.zeros(1, np.int64), *offsets]), np.concatenate([part.values for part in parts]))

    @property
    def dim(self) -> int:
        """Numbers in a vector."""
        return int(self.values.shape[1])

    @property
    def nbytes(self) -> int:
        """Bytes of both arrays."""
        return self.offsets.nbytes + self.values.nbytes

    def __repr__(self) -> str:
        return f"MultiVectors({len(self)} texts, {len(self.values)} vectors of {self.dim} numbers)"

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __iter__(self) -> Iterator[FloatArray]:
        return (self[i] for i in range(len(self)))

    @overload
    def __getitem__(self, which: int) -> FloatArray: ...
    @overload
    def __getitem__(self, which: slice | npt.ArrayLike) -> MultiVectors: ...
    def __getitem__(self, which: Any) -> FloatArray | MultiVectors:
        if isinstance(which, int | np.integer):
            text = range(len(self))[which]
            return self.values[self.offsets[text] : self.offsets[text + 1]]
        offsets, places = gather(self.offsets, np.arange(len(self))[which])
        return MultiVectors(offsets, self.values[places])

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, MultiVectors):
            return NotImplemented
        return all(np.array_equal(a, b) for a, b in zip(vars_of(self), vars_of(other), strict=True))

    __hash__ = None  # type: ignore[assignment]

    def maxsim(self, other: MultiVectors) -> FloatArray:
        """(n, m) float32: for each of these texts (questions) and each of ``other`` (documents) the sum over the question's
        vectors of the greatest dot product with one of the document's (ColBERT, Khattab and Zaharia 2020). A text without
        vectors scores 0. A score is the same, bit for bit, whatever else is scored with it."""
        if not isinstance(other, MultiVectors):
            raise InputError(f"maxsim: expected MultiVectors, found {type(other).__name__}; MultiVectors.of makes them")
        one_size([self.dim, other.dim])
        out = np.zeros((len(self), len(other)), dtype=np.float32)
        asked = _on_grid(self.values)
        lengths = np.diff(other.offsets)
        step = max(1, _BLOCK // max(1, int(np.diff(self.offsets).max(initial=1))))
        start = 0
        while start < len(other):
            end = int(np.searchsorted(other.offsets, other.offsets[start] + step, side="right")) - 1
            end = min(max(end, start + 1), len(other))
            first = other.offsets[start]
            block = _on_grid(other.values[first : other.offsets[end]]).T
            full = np.flatnonzero(lengths[start:end])
            if len(full):
                places = (other.offsets[start:end] - first)[full]
                for i in np.flatnonzero(np.diff(self.offsets)):
                    question = asked[self.offsets[i] : self.offsets[i + 1]]
                    best = np.maximum.reduceat(question @ block, places, axis=1)
                    out[i, start + full] = best.cumsum(axis=0)[-1]  # a plain sum of one column has another order
            start = end
        return out

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write to ``path``, a ``.npz`` file; `load` gives back the same numbers."""
        with open(path, "wb") as file:
            np.savez(file, offsets=self.offsets, values=self.values)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> MultiVectors:
        """What `save` wrote; `InputError` where the file holds something else."""
        parts = loaded(path, ("offsets", "values"), "MultiVectors.save")
        return cls(parts["offsets"], parts["values"])


def _on_grid(vectors: FloatArray) -> npt.NDArray[np.float64]:
    """The vectors with each number rounded to a multiple of a power of two, by the largest of its vector: to so many bits
    that a sum of ``dim`` products is exact in float64, and so the same in whatever order a matrix product adds them up.
    Of 128 numbers these are 23 bits, about what float32 has."""
    bits = (53 - math.ceil(math.log2(max(2, vectors.shape[1])))) // 2
    exponents = np.frexp(np.abs(vectors).max(axis=1, keepdims=True, initial=0.0))[1]
    return np.asarray(np.ldexp(np.rint(np.ldexp(vectors.astype(np.float64), bits - exponents)), exponents - bits))
