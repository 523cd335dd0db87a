"""Tables by column: Parquet, and Arrow files and streams (Feather)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

from embedkit.errors import EmbedkitError, InputError
from embedkit.ingestion.readers.source import Source
from embedkit.ingestion.rows.fields import Fields, NoDocument, named_columns
from embedkit.ingestion.rows.row import BadRow, Row, shown_as_json
from embedkit.records.coercion import converted
from embedkit.system.extras import needed

from .arrow_cells import BadCell, Cells, rows_of, sound

_ROWS = 256
_MAGIC = b"ARROW1"
_BEFORE_STREAM = 8
"""Bytes of a file before what is in it as in a stream."""


def read_parquet(file: BinaryIO, source: Source, fields: Fields) -> Iterator[Row]:
    """The rows of a Parquet file, a few at a time. An id or a text may be text in bytes; other values that no store keeps become
    the nearest that it does, as `converted` says under ``coerce``. A row with a value that Python cannot hold (a time beyond
    the year 9999, text that is no UTF-8) is a bad row. Raises `MissingExtraError` without pyarrow, and `InputError` where
    columns are missing or doubled."""
    _arrow()
    from pyarrow import parquet

    with _broken_as_os_error(), parquet.ParquetFile(file, pre_buffer=False, coerce_int96_timestamp_unit="us") as table:
        yield from arrow_rows(table.schema_arrow, table.iter_batches(batch_size=_ROWS), source, fields)


def read_arrow(file: BinaryIO, source: Source, fields: Fields) -> Iterator[Row]:
    """The rows of an Arrow file (Feather) or stream, batch by batch; rows and errors as of `read_parquet`."""
    arrow = _arrow()
    with _broken_as_os_error():
        if file.seekable():
            is_file = file.read(len(_MAGIC)) == _MAGIC
            file.seek(0)
        else:
            is_file = False
            if file.peek(len(_MAGIC)).startswith(_MAGIC):  # type: ignore[attr-defined]
                file.read(_BEFORE_STREAM)
        if is_file:
            with arrow.ipc.open_file(file) as table:
                batches = (sound(table.get_batch(i)) for i in range(table.num_record_batches))
                yield from arrow_rows(table.schema, batches, source, fields)
        else:
            with arrow.ipc.open_stream(file) as stream:
                yield from arrow_rows(stream.schema, map(sound, stream), source, fields)


def count_parquet(path: str) -> int:
    """The number of rows, from the file's footer; 0 where that cannot be read."""
    arrow = _arrow()
    from pyarrow import parquet

    try:
        return int(parquet.read_metadata(path).num_rows)
    except (arrow.ArrowException, OSError, ValueError):
        return 0


@contextmanager
def _broken_as_os_error() -> Iterator[None]:
    """What pyarrow says of a damaged file as an `OSError`."""
    try:
        yield
    except EmbedkitError:
        raise
    except (_arrow().ArrowException, ValueError, OverflowError) as error:
        raise OSError(str(error).split("\n")[0]) from error


def arrow_rows(schema: Any, batches: Any, source: Source, fields: Fields) -> Iterator[Row]:
    """The rows of batches of Arrow with one schema, as `read_parquet` gives them; raises `InputError` where columns are missing or
    doubled."""
    names = named_columns(schema.names)
    fields.check_columns(names, source.name)
    line = 0
    for batch in batches:
        if names != schema.names:
            batch = _arrow().RecordBatch.from_arrays(batch.columns, names)
        for start in range(0, batch.num_rows, _ROWS):
            for value in rows_of(batch.slice(start, _ROWS)):
                line += 1
                yield _row(value, line, source, fields)


def _row(value: Cells, line: int, source: Source, fields: Fields) -> Row:
    whole = value.row if isinstance(value, BadCell) else value
    try:
        whole = fields.readable(whole)
        if isinstance(value, BadCell) and fields.reads(value.name):
            raise NoDocument(f"the field {value.name!r} cannot be read: {value.reason}", fields.id_of(whole))
        return source.row(converted(whole, "coerce"), line, fields)
    except NoDocument as bad:
        return BadRow(source.name, line, bad.reason, shown_as_json(whole), bad.id)
    except InputError as error:
        return BadRow(source.name, line, str(error), shown_as_json(whole), fields.id_of(whole))


def _arrow() -> Any:
    why = "reading Parquet and Arrow files"
    needed("pyarrow.ipc", why, extra="parquet")  # which the package does not import itself
    return needed("pyarrow", why, extra="parquet")
