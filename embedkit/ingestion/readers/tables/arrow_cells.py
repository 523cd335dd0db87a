"""The rows of an Arrow batch as Python's values; one that Python cannot hold costs its row alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias


@dataclass(frozen=True, slots=True)
class BadCell:
    """A row of which the column ``name`` cannot be read, for ``reason``; ``row`` holds what of it can be."""

    name: str
    reason: str
    row: dict[str, Any]


Cells: TypeAlias = "dict[str, Any] | BadCell"


def rows_of(batch: Any) -> Iterator[Cells]:
    """The rows of a ``pyarrow.RecordBatch``; times are in microseconds, which Python's own hold."""
    names = batch.schema.names
    try:
        columns = [_values(column) for column in batch.columns]
    except Exception:  # pyarrow raises what it likes: OverflowError, UnicodeDecodeError, ArrowInvalid, ...
        yield from (_row(batch, i) for i in range(batch.num_rows))
    else:
        yield from (dict(zip(names, cells, strict=True)) for cells in zip(*columns, strict=True))


def _row(batch: Any, place: int) -> Cells:
    row: dict[str, Any] = {}
    bad = None
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        try:
            (row[name],) = _cell(column.slice(place, 1))
        except Exception as error:
            bad = bad or (name, " ".join(str(error).split()) or type(error).__name__)
    return BadCell(*bad, row) if bad else row


def _cell(column: Any) -> list[Any]:
    from pyarrow import timestamp, types

    try:
        return _values(column)
    except Exception:
        if not types.is_timestamp(column.type) or column.type.tz is None:
            raise
        # in a zone that this machine does not know, the moment is known all the same
        return _values(column.cast(timestamp(column.type.unit, "UTC")))


def _values(column: Any) -> list[Any]:
    wanted = _microseconds(column.type)
    found: list[Any] = (column if wanted.equals(column.type) else column.cast(wanted, safe=False)).to_pylist()
    return found


def _microseconds(kind: Any) -> Any:
    """The type with times in microseconds, where pyarrow casts to it."""
    import pyarrow
    from pyarrow import types

    if types.is_timestamp(kind) and kind.unit == "ns":
        return pyarrow.timestamp("us", kind.tz)
    if types.is_time64(kind) and kind.unit == "ns":
        return pyarrow.time64("us")
    if types.is_duration(kind) and kind.unit == "ns":
        return pyarrow.duration("us")
    if types.is_struct(kind):
        return pyarrow.struct([field.with_type(_microseconds(field.type)) for field in kind])
    if types.is_list(kind):
        return pyarrow.list_(kind.value_field.with_type(_microseconds(kind.value_type)))
    if types.is_large_list(kind):
        return pyarrow.large_list(kind.value_field.with_type(_microseconds(kind.value_type)))
    if types.is_fixed_size_list(kind):
        return pyarrow.list_(kind.value_field.with_type(_microseconds(kind.value_type)), kind.list_size)
    if types.is_map(kind):
        return pyarrow.map_(kind.key_field, kind.item_field.with_type(_microseconds(kind.item_type)), kind.keys_sorted)
    if types.is_dictionary(kind):
        inner = _microseconds(kind.value_type)
        return kind if inner.equals(kind.value_type) else inner
    return kind
