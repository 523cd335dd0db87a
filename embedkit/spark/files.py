"""Files and folders on a path that all machines have, as a data frame: read by embedkit's own readers, so into the same rows everywhere."""

from __future__ import annotations

import os
import pickle
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as arrow
from pyspark.sql import DataFrame, SparkSession

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
_TASKS_A_CORE = 4
_MOST_TASKS = 1000


def ingest_files(
    rows: FileRows, bundle: Any, store: str, *, address: str | None = None, **options: Any
) -> DistributedReport:
    """`ingest_dataset` of files: each is read by one task, and its rows are taken by all executors. ``options`` are those of
    `ingest_dataset` but ``fields``, which the files have. ``address`` is a master (``spark://host:7077``, ``local[4]``); by default the
    session that runs here, or the master that Spark is set up for. Raises `OptionError` for standard input, which no other machine can
    read, and what `ingest_dataset` raises."""
    if "-" in rows.paths:
        raise OptionError("standard input cannot be read by a cluster; give a file on a path that all nodes have")
    return ingest_dataset(file_rows(rows, session(address)), bundle, store, **options)


def session(address: str | None) -> SparkSession:
    """The session that runs here, or one on a master that is started."""
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    made = SparkSession.builder.appName("embedkit")
    return (made.master(address) if address else made).getOrCreate()


def file_rows(rows: FileRows, session: SparkSession) -> DataFrame:
    """The rows of files, a pickled `SourcedDocument` or `BadRow` each, as `ingest_dataset` takes them."""
    sources = [(bytearray(pickle.dumps(found)),) for found in rows.sources()]
    parts = max(1, min(len(sources), _MOST_TASKS))
    found = session.createDataFrame(sources, f"`{_SOURCE}` binary").repartition(parts)
    read_by_tasks = found.mapInArrow(_Reader(rows.fields), f"`{PICKLED}` binary")
    return read_by_tasks.repartition(_TASKS_A_CORE * session.sparkContext.defaultParallelism)


@dataclass(frozen=True, slots=True)
class _Reader:
    fields: Fields

    def __call__(self, batches: Iterable[Any]) -> Iterator[Any]:
        waiting: list[bytes] = []
        for row in self._rows(batches):
            waiting.append(pickle.dumps(row))
            if len(waiting) == _ROWS:
                yield _batch(waiting)
                waiting = []
        if waiting:
            yield _batch(waiting)

    def _rows(self, batches: Iterable[Any]) -> Iterator[Any]:
        for batch in batches:
            for packed in batch.column(_SOURCE).to_pylist():
                source: Source | BadRow = pickle.loads(packed)
                yield from [source] if isinstance(source, BadRow) else read(source, self.fields)


def _batch(rows: list[bytes]) -> Any:
    return arrow.record_batch({PICKLED: arrow.array(rows, arrow.binary())})
