"""Files and folders on a path that all nodes have, as a data set: read by embedkit's own readers, so into the same rows everywhere."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from typing import Any

import pyarrow as arrow
import ray.data

import ray
from embedkit.errors import OptionError
from embedkit.ingestion.distributed.block import PICKLED
from embedkit.ingestion.distributed.report import DistributedReport
from embedkit.ingestion.readers.files import FileRows, read
from embedkit.ingestion.readers.source import Source
from embedkit.ingestion.rows.fields import Fields
from embedkit.ingestion.rows.row import BadRow

from .ingest import ingest_dataset

_ROWS = 512
_SOURCE = "source"


def ingest_files(
    rows: FileRows, bundle: Any, store: str, *, address: str | None = None, **options: Any
) -> DistributedReport:
    """`ingest_dataset` of files: each is read by one task, and its rows are taken by all workers. ``options`` are those of
    `ingest_dataset` but ``fields``, which the files have. ``address`` is that of a cluster; by default the one that runs here, or one
    that is started. Raises `OptionError` for standard input, which no other machine can read, and what `ingest_dataset` raises."""
    if "-" in rows.paths:
        raise OptionError("standard input cannot be read by a cluster; give a file on a path that all nodes have")
    if not ray.is_initialized():
        ray.init(address=address, log_to_driver=False)
    return ingest_dataset(file_rows(rows), bundle, store, **options)


def file_rows(rows: FileRows) -> ray.data.Dataset:
    """The rows of files, a pickled `SourcedDocument` or `BadRow` each, as `ingest_dataset` takes them."""
    sources = [{_SOURCE: pickle.dumps(found)} for found in rows.sources()]
    if not sources:
        return ray.data.from_arrow(arrow.table({PICKLED: arrow.array([], arrow.binary())}))
    found = ray.data.from_items(sources, override_num_blocks=min(len(sources), 1000))
    return found.map_batches(
        _read, batch_size=1, batch_format="pyarrow", fn_kwargs={"fields": rows.fields}, udf_modifying_row_count=True
    )


def _read(table: Any, *, fields: Fields) -> Iterator[Any]:
    for packed in table[_SOURCE].to_pylist():
        source: Source | BadRow = pickle.loads(packed)
        waiting: list[bytes] = []
        for row in [source] if isinstance(source, BadRow) else read(source, fields):
            waiting.append(pickle.dumps(row))
            if len(waiting) == _ROWS:
                yield _table(waiting)
                waiting = []
        yield _table(waiting)


def _table(rows: list[bytes]) -> Any:
    return arrow.table({PICKLED: arrow.array(rows, arrow.binary())})
