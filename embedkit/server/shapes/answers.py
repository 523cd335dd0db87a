"""Values as JSON: numbers that give back the same float32, or base64 of their bytes."""

from __future__ import annotations

import base64
import math
from functools import cache
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt


def numbers(vector: npt.NDArray[Any]) -> msgspec.Raw:
    """A vector as an array of JSON: nine significant digits give back the same float32."""
    if vector.dtype.kind in "iub":
        return msgspec.Raw(msgspec.json.encode(vector.tolist()))
    if not vector.all():  # a zero's sign is lost where it is read as an integer
        shown = ("-0.0" if one == 0 and math.copysign(1, one) < 0 else "%.9g" % one for one in vector.tolist())
        return msgspec.Raw(f"[{','.join(shown)}]".encode())
    return msgspec.Raw((_form(len(vector)) % tuple(vector.tolist())).encode())


def base64_of(vector: npt.NDArray[Any]) -> str:
    """The base64 of a vector's bytes, little-endian float32."""
    return base64.b64encode(np.ascontiguousarray(vector, "<f4").tobytes()).decode("ascii")


def row_json(row: Any) -> Any:
    """One row of any values: of sparse vectors an object, of several vectors an array of arrays."""
    if isinstance(row, tuple):
        return {"indices": row[0].tolist(), "values": numbers(np.asarray(row[1], np.float32))}
    return numbers(row) if row.ndim == 1 else [row_json(part) for part in row]


def rows_json(values: Any, *, packed: bool = False) -> list[Any]:
    """The rows of values; ``packed``, of dense ones, in base64."""
    return [base64_of(row) if packed else row_json(row) for row in (values[i] for i in range(len(values)))]


@cache
def _form(count: int) -> str:
    return "[" + ",".join(["%.9g"] * count) + "]"
