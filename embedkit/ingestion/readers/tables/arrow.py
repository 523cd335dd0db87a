"""Tables by column: Parquet, and Arrow files and streams (Feather)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO

from embedkit.ingestion.readers.source import Source
from embedkit.ingestion.rows.fields import Fields
from embedkit.ingestion.rows.row import Row
from embedkit.records.coercion import converted
from embedkit.system.extras import needed

_ROWS = 256


def read_parquet(file: BinaryIO, source: Source, fields: Fields) -> Iterator[Row]:
    """The rows of a Parquet file, a few at a time; values that no store keeps become the nearest that it does, as `converted`
    says under ``coerce``. Raises `MissingExtraError` without pyarrow, and `InputError` where
    columns are missing or doubled."""
    arrow = _arrow()
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(file, pre_buffer=False) as table:
            yield from _rows(table.schema_arrow, table.iter_batches(batch_size=_ROWS), source, fields)
    except arrow.ArrowException as error:
        raise OSError(_first_line(error)) from error


def read_arrow(file: BinaryIO, source: Source, fields: Fields) -> Iterator[Row]:
    """The rows of an Arrow file (Feather) or stream, batch by batch; errors as of `read_parquet`."""
    arrow = _arrow()
    try:
        seekable = file.seekable() and file.read(6) == b"ARROW1"
        if file.seekable():
            file.seek(0)
        if seekable:
            with arrow.ipc.open_file(file) as table:
                batches = (table.get_batch(i) for i in range(table.num_record_batches))
                yield from _rows(table.schema, batches, source, fields)
        else:
            with arrow.ipc.open_stream(file) as stream:
                yield from _rows(stream.schema, stream, source, fields)
    except arrow.ArrowException as error:
        raise OSError(_first_line(error)) from error


def count_parquet(path: str) -> int:
    """The number of rows, from the file's footer; 0 where that cannot be read."""
    arrow = _arrow()
    from pyarrow import parquet

    try:
        return int(parquet.read_metadata(path).num_rows)
    except (arrow.ArrowException, OSError):
        return 0


def _rows(schema: Any, batches: Any, source: Source, fields: Fields) -> Iterator[Row]:
    fields.check_columns(schema.names, source.name)
    arrow = _arrow()
    wanted = arrow.schema([field.with_type(_microseconds(field.type)) for field in schema])
    line = 0
    for batch in batches:
        table = arrow.Table.from_batches([batch])
        if not wanted.equals(schema):
            table = table.cast(wanted, safe=False)
        for start in range(0, table.num_rows, _ROWS):
            for value in table.slice(start, _ROWS).to_pylist():
                line += 1
                yield source.row(converted(value, "coerce"), line, fields)


def _microseconds(kind: Any) -> Any:
    """The type with times in microseconds, which Python's own hold."""
    arrow = _arrow()
    types = arrow.types
    if types.is_timestamp(kind) and kind.unit == "ns":
        return arrow.timestamp("us", kind.tz)
    if types.is_time64(kind) and kind.unit == "ns":
        return arrow.time64("us")
    if types.is_duration(kind) and kind.unit == "ns":
        return arrow.duration("us")
    if types.is_struct(kind):
        return arrow.struct([field.with_type(_microseconds(field.type)) for field in kind])
    if types.is_list(kind):
        return arrow.list_(kind.value_field.with_type(_microseconds(kind.value_type)))
    if types.is_large_list(kind):
        return arrow.large_list(kind.value_field.with_type(_microseconds(kind.value_type)))
    return kind


def _arrow() -> Any:
    why = "reading Parquet and Arrow files"
    needed("pyarrow.ipc", why, extra="parquet")  # which the package does not import itself
    return needed("pyarrow", why, extra="parquet")


def _first_line(error: Exception) -> str:
    return str(error).split("\n")[0]
