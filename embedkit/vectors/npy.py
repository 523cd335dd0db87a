"""Vectors to a ``.npy`` file, window by window, without holding them all."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from embedkit.errors import DiskError
from embedkit.system.atomic import atomic_file


def write_npy(
    path: str | os.PathLike[str],
    windows: Iterable[npt.NDArray[Any]],
    *,
    dim: int,
    dtype: npt.DTypeLike = np.float32,
) -> int:
    """Write (n, dim) arrays one after another as one array of ``dtype``; the number of rows.

    What stood at ``path`` is replaced when all is written. Raises `DiskError` where the file cannot be written.
    """
    target = Path(path)
    kind = np.dtype(dtype).newbyteorder("<")
    try:
        with atomic_file(target) as file:
            rows = 0
            _header(file, rows, dim, kind)
            for vectors in windows:
                file.write(np.ascontiguousarray(vectors, dtype=kind).tobytes())
                rows += len(vectors)
            file.seek(0)
            _header(file, rows, dim, kind)
    except OSError as error:
        raise DiskError(f"cannot write {target}: {error}", error) from error
    return rows


def _header(file: BinaryIO, rows: int, dim: int, kind: np.dtype[Any]) -> None:
    """The header leaves room for any number of rows, so that it has one length."""
    np.lib.format.write_array_header_1_0(file, {"descr": kind.str, "fortran_order": False, "shape": (rows, dim)})
