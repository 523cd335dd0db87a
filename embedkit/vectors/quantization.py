"""Vectors in fewer bits: float16, calibrated 8-bit integers, and packed bits, as sentence-transformers makes them."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias, cast, get_args

import numpy as np
import numpy.typing as npt

from embedkit.checks import items_of, one_of
from embedkit.errors import InputError

from .arrays import FloatArray
from .ragged import numbers

Precision: TypeAlias = Literal["float32", "float16", "int8", "uint8", "binary", "ubinary"]
Vectors: TypeAlias = "npt.NDArray[np.float32] | npt.NDArray[np.float16] | npt.NDArray[np.int8] | npt.NDArray[np.uint8]"

FEW_VECTORS = 100
"""Ranges of fewer vectors than this are taken with a warning."""

_DTYPES: dict[str, type[np.generic]] = {
    "float32": np.float32,
    "float16": np.float16,
    "int8": np.int8,
    "uint8": np.uint8,
    "binary": np.int8,
    "ubinary": np.uint8,
}
_BLOCK = 1 << 18
"""Numbers that are rounded together, so that what is held beside the result does not grow with it."""


@dataclass(frozen=True, slots=True, eq=False)
class Ranges:
    """The smallest and the largest number of each dimension, both (dim,) float32: what the 256 steps of ``int8`` and
    ``uint8`` are spread over. ``numpy.asarray`` of it is (2, dim)."""

    minimum: FloatArray
    maximum: FloatArray

    def __post_init__(self) -> None:
        shapes = self.minimum.shape, self.maximum.shape
        if shapes[0] != shapes[1] or len(shapes[0]) != 1 or not shapes[0][0]:
            raise InputError(f"ranges: expected two arrays of one shape (dim,), found {shapes[0]} and {shapes[1]}")
        if not (np.isfinite(self.minimum).all() and np.isfinite(self.maximum).all()):
            raise InputError("ranges: expected finite numbers, found NaN or infinity")
        if (self.minimum > self.maximum).any():
            where = int(np.argmax(self.minimum > self.maximum))
            raise InputError(f"ranges: the minimum of dimension {where} is above its maximum; give the minima first")

    @classmethod
    def of(cls, ranges: Ranges | npt.ArrayLike) -> Ranges:
        """``ranges``, which may be a (2, dim) array of minima and maxima."""
        if isinstance(ranges, Ranges):
            return ranges
        array = numbers(ranges, np.float32, "ranges")
        if array.ndim != 2 or len(array) != 2:
            raise InputError(f"ranges: expected shape (2, dim), found {array.shape}")
        return cls(array[0], array[1])

    @property
    def dim(self) -> int:
        """Numbers in the vectors that these ranges are for."""
        return len(self.minimum)

    @property
    def steps(self) -> FloatArray:
        """(dim,) float32: the width of one of the 255 steps; 1 where a dimension has a single value."""
        steps = (self.maximum - self.minimum) / np.float32(255)
        return np.where(steps == 0, np.float32(1), steps)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write to ``path``, which ends in ``.npz`` or ``.json``; `load` gives back the same numbers."""
        if _suffix(path) == ".npz":
            np.savez(path, minimum=self.minimum, maximum=self.maximum)
        else:
            columns = {"minimum": self.minimum.tolist(), "maximum": self.maximum.tolist()}
            Path(path).write_text(json.dumps(columns), encoding="utf-8")

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Ranges:
        """What `save` wrote; `InputError` where the file holds no ranges."""
        suffix = _suffix(path)
        try:
            if suffix == ".npz":
                with np.load(path, allow_pickle=False) as data:
                    columns: Any = {name: data[name] for name in data.files}
            else:
                columns = json.loads(Path(path).read_text(encoding="utf-8"))
            return cls(*(np.asarray(columns[name], dtype=np.float32) for name in ("minimum", "maximum")))
        except FileNotFoundError:
            raise
        except Exception as error:
            raise InputError(f"{path}: expected ranges that Ranges.save wrote ({error})") from error

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        return np.stack([self.minimum, self.maximum]).astype(dtype or np.float32, copy=False)


def fit_ranges(vectors: npt.ArrayLike | Iterable[npt.ArrayLike]) -> Ranges:
    """The ranges of (n, dim) float vectors, or of an iterable of such arrays (`Encoder.stream` gives one), which are
    read one at a time.

    Fit them once on vectors of a few thousand typical texts, of the same ``dim``, and keep them: vectors can be
    compared only where they were rounded with the same ranges.
    """
    parts = [vectors] if isinstance(vectors, np.ndarray) else items_of("fit_ranges", vectors, "array", ordered=False)
    low = high = None
    for part in parts:
        array = _floats(part)
        if not len(array):
            continue
        if low is None or high is None:
            low, high = array.min(axis=0), array.max(axis=0)
        elif array.shape[1] != len(low):
            raise InputError(f"fit_ranges: expected vectors of one dimension, found {len(low)} and {array.shape[1]}")
        else:
            low, high = np.minimum(low, array.min(axis=0)), np.maximum(high, array.max(axis=0))
    if low is None or high is None:
        raise InputError("fit_ranges: expected vectors, found none; encode some typical texts first")
    return Ranges(low.astype(np.float32), high.astype(np.float32))


def quantize(vectors: npt.ArrayLike, precision: Precision, *, ranges: Ranges | npt.ArrayLike | None = None) -> Vectors:
    """(n, dim) float vectors as stored in ``precision``; one (dim,) vector gives one.

    ``float32`` and ``float16`` (n, dim). ``int8`` and ``uint8`` (n, dim): the number of the step of ``ranges`` that a
    value falls in, 0 to 255, or that minus 128; what is outside takes the first or the last. ``binary`` int8 and
    ``ubinary`` uint8 (n, ceil(dim / 8)): one bit a number, set where it is above zero, first bit highest (``binary`` is
    the byte minus 128). All equal ``sentence_transformers.quantize_embeddings``.

    Without ``ranges`` these are the vectors' own: a warning where they are fewer than 100, `InputError` for one.
    """
    check_precision(precision)
    try:
        array = np.asarray(vectors)
    except (ValueError, TypeError) as error:
        raise InputError(f"expected float vectors ({error})") from None
    if array.ndim == 1:
        one = quantize(array[None], precision, ranges=ranges)
        return cast(Vectors, one[0])
    array = _floats(array)
    if precision in ("float32", "float16"):
        return cast(Vectors, array.astype(_DTYPES[precision], copy=False))
    if not len(array):
        return empty(array.shape[1], precision)
    if not np.isfinite(array).all():
        raise InputError(f"quantize: vector {int(np.argmin(np.isfinite(array).all(axis=1)))} holds NaN or infinity")
    if needs_ranges(precision):
        ranges = _own_ranges(array, precision) if ranges is None else Ranges.of(ranges)
        return _rounded(array, precision, ranges)
    packed = np.packbits(array > 0, axis=-1)
    return packed if precision == "ubinary" else (packed ^ np.uint8(0x80)).view(np.int8)


def needs_ranges(precision: str) -> bool:
    """Whether the precision is rounded to the steps of `Ranges`."""
    return precision in ("int8", "uint8")


def check_precision(precision: str) -> None:
    """`OptionError` for a precision that there is not."""
    one_of("precision", precision, get_args(Precision))


def check_ranges(ranges: Ranges, dim: int) -> None:
    """`InputError` where the ranges are for vectors of another dimension."""
    if ranges.dim != dim:
        raise InputError(
            f"ranges: they are of vectors of {ranges.dim} numbers, and these have {dim}; fit them on vectors of the same dim"
        )


def empty(dim: int, precision: Precision, rows: int = 0) -> Vectors:
    """(rows, width) for vectors of ``dim`` numbers, not filled."""
    width = (dim + 7) // 8 if precision in ("binary", "ubinary") else dim
    return cast(Vectors, np.empty((rows, width), dtype=_DTYPES[precision]))


def restored(vectors: npt.ArrayLike, dim: int, precision: Precision, ranges: Ranges | None) -> FloatArray:
    """(..., dim) float32 that stored (..., width) vectors stand for: the lower end of a step, and +1 or -1 for a
    bit."""
    array = np.asarray(vectors)
    if precision in ("binary", "ubinary"):
        width = (dim + 7) // 8
        if array.shape[-1] != width or array.dtype != _DTYPES[precision]:
            raise InputError(
                f"expected {precision} vectors of {width} bytes ({np.dtype(_DTYPES[precision])}), "
                f"found {array.shape[-1]} ({array.dtype})"
            )
        bits = np.unpackbits(octets(array), axis=-1, count=dim).astype(np.float32)
        bits *= 2
        bits -= 1
        return bits
    if array.shape[-1] != dim:
        raise InputError(f"expected {precision} vectors of {dim} numbers, found {array.shape[-1]}")
    floats = array.astype(np.float32)
    if needs_ranges(precision):
        if ranges is None:
            raise InputError(
                f"ranges: {precision} vectors mean something with their ranges only; give those they were made with"
            )
        check_ranges(ranges, dim)
        if precision == "int8":
            floats += 128
        floats *= ranges.steps
        floats += ranges.minimum
    return floats


def octets(vectors: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Packed bits as uint8, whether they are stored as that or as int8 (the byte minus 128)."""
    if vectors.dtype == np.int8:
        return vectors.view(np.uint8) ^ np.uint8(0x80)
    if vectors.dtype == np.uint8:
        return cast("npt.NDArray[np.uint8]", vectors)
    raise InputError(f"expected packed bits (int8 or uint8), found {vectors.dtype}; make them with precision='ubinary'")


def _own_ranges(array: FloatArray, precision: Precision) -> Ranges:
    """The ranges of these vectors themselves, if they are enough."""
    if len(array) == 1:
        raise InputError(
            f"precision: the ranges for {precision} cannot be taken from one vector; give ranges=embedkit.fit_ranges(vectors) of "
            "typical ones"
        )
    if len(array) < FEW_VECTORS:
        warnings.warn(
            f"the ranges for {precision} are taken from {len(array)} vectors only, and other vectors are not comparable with these; give "
            "ranges=embedkit.fit_ranges(vectors) of more",
            UserWarning,
            stacklevel=3,
        )
    return fit_ranges(array)


def _rounded(array: FloatArray, precision: Precision, ranges: Ranges) -> Vectors:
    check_ranges(ranges, array.shape[1])
    out = np.empty(array.shape, dtype=np.uint8)
    steps, rows = ranges.steps, max(1, _BLOCK // array.shape[1])
    for start in range(0, len(array), rows):
        block = array[start : start + rows] - ranges.minimum
        block /= steps
        np.floor(block, out=block)
        np.clip(block, 0, 255, out=block)
        out[start : start + rows] = block
    if precision == "uint8":
        return out
    out ^= np.uint8(0x80)
    return out.view(np.int8)


def _floats(vectors: npt.ArrayLike) -> FloatArray:
    """(n, dim) float32, without a copy where it is that."""
    try:
        array = np.asarray(vectors)
    except (ValueError, TypeError) as error:
        raise InputError(f"expected float vectors ({error})") from None
    if array.dtype.kind != "f":
        raise InputError(f"expected float vectors, found {array.dtype}")
    if array.ndim != 2:
        raise InputError(f"expected vectors of shape (n, dim), found {array.shape}")
    return array.astype(np.float32, copy=False)


def _suffix(path: str | os.PathLike[str]) -> str:
    suffix = Path(path).suffix
    if suffix not in (".npz", ".json"):
        raise InputError(f"ranges: expected a path that ends in .npz or .json, found {os.fspath(path)!r}")
    return suffix
