"""The rows of an Arrow batch as Python's values; one that Python cannot hold costs its row alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np


@dataclass(frozen=True, slots=True)
class BadCell:
    """A row of which the column ``name`` cannot be read, for ``reason``; ``row`` holds what of it can be."""

    name: str
    reason: str
    row: dict[str, Any]


Cells: TypeAlias = "dict[str, Any] | BadCell"


def sound(batch: Any) -> Any:
    """The ``pyarrow.RecordBatch``, whose offsets and indices lead nowhere else than to its own bytes: pyarrow looks at them only where it
    is asked to, and a damaged file ended the process. Raises ``pyarrow.ArrowInvalid``. Text that is no UTF-8 costs its row alone."""
    for column in batch.columns:
        _require_sound(column)
    return batch


def _require_sound(column: Any) -> None:
    from pyarrow import ArrowInvalid

    try:
        column.validate(full=True)
    except ArrowInvalid as error:
        if "UTF8" not in str(error):
            raise
        for part in _parts(column):  # of which one is not sound text, and the others are not looked at yet
            _require_sound(part)


def _parts(column: Any) -> list[Any]:
    """The columns of which one is made."""
    names = [name for name in ("storage", "dictionary", "keys", "items", "values") if hasattr(column, name)]
    fields = range(column.type.num_fields) if hasattr(column, "field") else ()
    return [getattr(column, name) for name in names] + [column.field(i) for i in fields]


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
    """The values, with times in microseconds: pyarrow casts to these in columns alone, and towards zero. Durations in nanoseconds are
    numpy's."""
    from pyarrow import compute, int64, time64, timestamp, types

    kind = column.type
    if not _is_finer(kind):
        pass
    elif types.is_timestamp(kind):
        cut = compute.floor_temporal(column.view(timestamp("ns")), unit="microsecond")
        column = cut.cast(timestamp("us")).view(timestamp("us", kind.tz))
    elif types.is_time64(kind):
        column = column.cast(time64("us"), safe=False)
    elif types.is_duration(kind):
        return [None if n is None else np.timedelta64(n, "ns") for n in column.cast(int64()).to_pylist()]
    elif types.is_dictionary(kind):
        return _values(column.dictionary_decode())
    elif types.is_run_end_encoded(kind):
        return _values(compute.run_end_decode(column))
    elif hasattr(column, "storage"):
        return _values(column.storage)
    elif types.is_struct(kind) and len({field.name for field in kind}) == len(kind):
        rows = zip(*(_values(column.field(i)) for i in range(len(kind))), strict=True)
        found = (dict(zip((field.name for field in kind), row, strict=True)) for row in rows)
        return [row if there.as_py() else None for row, there in zip(found, column.is_valid(), strict=True)]
    elif types.is_map(kind):
        return [[tuple(pair.values()) for pair in _values(cell.values)] if cell.is_valid else None for cell in column]
    elif hasattr(kind, "value_type"):  # lists of every kind
        return [_values(cell.values) if cell.is_valid else None for cell in column]
    values: list[Any] = column.to_pylist()
    return values


def _is_finer(kind: Any) -> bool:
    """Whether nanoseconds stand in it somewhere, of which Python's own times know nothing."""
    if hasattr(kind, "unit"):
        return bool(kind.unit == "ns")
    inside = [getattr(kind, name) for name in ("value_type", "storage_type") if hasattr(kind, name)]
    return any(map(_is_finer, [*inside, *(kind.field(i).type for i in range(kind.num_fields))]))
