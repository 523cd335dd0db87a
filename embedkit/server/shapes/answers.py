"""Values as JSON: numbers that give back the same float32, or base64 of their bytes."""

from __future__ import annotations

import asyncio
import base64
import math
from functools import cache
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

_MANY = 1 << 15
"""Numbers that take some milliseconds."""


def json_numbers(vector: npt.NDArray[Any]) -> msgspec.Raw:
    """A vector as an array of JSON: nine significant digits give back the same float32."""
    if vector.dtype.kind in "iub":
        return msgspec.Raw(msgspec.json.encode(vector.tolist()))
    if not vector.all():  # a zero's sign is lost where it is read as an integer
        shown = ("-0.0" if one == 0 and math.copysign(1, one) < 0 else f"{one:.9g}" for one in vector.tolist())
        return msgspec.Raw(f"[{','.join(shown)}]".encode())
    return msgspec.Raw((_form(len(vector)) % tuple(vector.tolist())).encode())


def base64_of(vector: npt.NDArray[Any]) -> str:
    """The base64 of a vector's bytes, little-endian float32."""
    return base64.b64encode(np.ascontiguousarray(vector, "<f4").tobytes()).decode("ascii")


def row_json(row: Any) -> Any:
    """One row of any values: of sparse vectors an object, of several vectors an array of arrays."""
    if isinstance(row, tuple):
        return {"indices": row[0].tolist(), "values": json_numbers(np.asarray(row[1], np.float32))}
    return json_numbers(row) if row.ndim == 1 else [row_json(part) for part in row]


def rows_json(values: Any, *, packed: bool = False) -> list[Any]:
    """The rows of values; ``packed``, of dense ones, in base64."""
    return [base64_of(row) if packed else row_json(row) for row in (values[i] for i in range(len(values)))]


async def shown_rows(values: Any, *, packed: bool = False) -> list[Any]:
    """`rows_json`, of many numbers on a thread, so that other requests are answered meanwhile."""
    size = values.size if isinstance(values, np.ndarray) else values.values.size
    if size < _MANY:
        return rows_json(values, packed=packed)
    return await asyncio.to_thread(rows_json, values, packed=packed)


@cache
def _form(count: int) -> str:
    return "[" + ",".join(["%.9g"] * count) + "]"
