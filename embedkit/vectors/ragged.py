"""What ragged arrays share: rows of different lengths behind one array of offsets."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from embedkit.errors import InputError


def numbers(given: npt.ArrayLike, dtype: type[np.generic], what: str) -> npt.NDArray[Any]:
    """``given`` as a C-contiguous array of ``dtype``; `InputError` where that would make other numbers of it: of text, of
    fractions where integers are wanted, or of what is too large."""
    try:
        array = np.asarray(given)
    except (ValueError, TypeError) as error:
        raise InputError(f"{what}: expected an array of numbers ({error})") from None
    if array.dtype == dtype or not array.size:
        return np.ascontiguousarray(array, dtype=dtype)
    whole = np.issubdtype(dtype, np.integer)
    if array.dtype.kind not in ("iu" if whole else "iufb"):
        raise InputError(f"{what}: expected {'integers' if whole else 'numbers'}, found an array of {array.dtype}")
    with np.errstate(over="ignore"):
        made = np.ascontiguousarray(array, dtype=dtype)
    if whole and (made != array).any():
        raise InputError(
            f"{what}: expected integers of {np.dtype(dtype)}, found {np.ravel(array)[np.ravel(made != array)][0]}"
        )
    return made


def one_size(sizes: Sequence[int]) -> None:
    """`InputError` unless there are some and all are the same."""
    if len(set(sizes)) != 1:
        found = " and ".join(map(str, dict.fromkeys(sizes))) or "none"
        raise InputError(f"expected vectors of one size, found {found}")


def gather(offsets: npt.NDArray[np.int64], rows: npt.NDArray[np.intp]) -> tuple[Any, Any]:
    """The offsets of the chosen ragged rows, and the places of their entries."""
    lengths = np.diff(offsets)[rows]
    out = np.concatenate([[0], lengths.cumsum()]).astype(np.int64)
    places = np.repeat(offsets[rows] - out[:-1], lengths) + np.arange(out[-1])
    return out, places


def vars_of(vectors: Any) -> list[npt.NDArray[Any]]:
    """The arrays of a columnar value, in order."""
    return [value for name in vectors.__slots__ if isinstance(value := getattr(vectors, name), np.ndarray)]


def loaded(path: str | os.PathLike[str], names: Sequence[str], maker: str) -> dict[str, npt.NDArray[Any]]:
    """The arrays of an ``.npz`` file that ``maker`` wrote; no pickle is read."""
    try:
        with np.load(path, allow_pickle=False) as data:
            return {name: data[name] for name in names}
    except FileNotFoundError:
        raise
    except Exception as error:
        raise InputError(f"{os.fspath(path)}: expected what {maker} wrote ({error})") from error
