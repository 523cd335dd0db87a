"""A data frame of Spark into a collection."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from pyspark import StorageLevel
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame
from pyspark.sql.functions import struct

from embedkit.checks import positive
from embedkit.encoders.encoder import Encoder
from embedkit.errors import InputError
from embedkit.ingestion.chunking.chunked import Chunking
from embedkit.ingestion.distributed.bundle_ref import pack
from embedkit.ingestion.distributed.driver import ClusterRun, begun
from embedkit.ingestion.distributed.plan import Work
from embedkit.ingestion.distributed.preflight import NodeCheck, require_ready
from embedkit.ingestion.distributed.report import DistributedReport
from embedkit.ingestion.pipeline.kept import Kept
from embedkit.ingestion.rows.fields import Fields
from embedkit.records.coercion import MetadataMode
from embedkit.records.filters import Filter
from embedkit.stores.contract import Metric
from embedkit.system.extras import needed

from .driver_link import listening
from .worker import ANSWERS, CHECKS, NodeChecker, SparkWorker


def ingest_dataset(
    df: DataFrame,
    bundle: str | os.PathLike[str] | Encoder,
    store: str,
    *,
    collection: str,
    id_column: str = "id",
    text_column: str = "text",
    fields: Fields | None = None,
    chunking: Chunking | None = None,
    role: str = "document",
    metric: Metric | None = None,
    outputs: Sequence[str] | None = None,
    metadata_policy: MetadataMode = "strict",
    sync: bool = False,
    filter: Filter | None = None,
    batch_size: int = 2048,
    device: str = "cpu",
    variant: str = "auto",
    engine: str = "auto",
    dead_letters: str | os.PathLike[str] | None = None,
    send_bundle: bool = True,
    preflight: bool = True,
    dim: int | None = None,
    precision: str | None = None,
    index: Mapping[str, int] | None = None,
    any_dim: bool = False,
) -> DistributedReport:
    """`embedkit.ingest` by the executors of a Spark cluster: the same rows, with the same vectors to the last bit.

    A row of the data frame is a whole document; its id must be in no other row. Each task looks up which rows of its partition the
    store has, encodes the others and writes them, so that vectors stay where they are made. A run that was cut is run again: what the
    store has unchanged is looked up and nothing more. Executors may end at any time: their partitions are taken by others, as often as
    ``spark.task.maxFailures`` says. A row that ends three processes is a dead letter, where that is 4 or more (as it is unless set).

    A task computes with ``spark.task.cpus`` threads, and each of an executor's Python processes holds the encoder: give it memory by
    ``spark.executor.memoryOverhead``.

    Args:
        df: the rows; as many columns as wanted, those beside id and text become metadata. Its partitions are what tasks take.
        bundle: the bundle's folder on the driver, or the loaded encoder.
        store: the address of a store that takes any number of processes; its credentials are in the environment of each executor.
        collection: its name; it is made where it is not there, and its index is built once, at the end.
        id_column: the column of the ids.
        text_column: the column of the texts.
        fields: in their place what part of a row is what, as `embedkit.ingestion.Fields` says.
        chunking: how long documents are cut; None: not at all.
        role: the bundle's role by which the texts are encoded.
        metric: for a new collection; by default the model's own.
        outputs: names of what of the bundle is kept, as in `embedkit.ingest`.
        metadata_policy: as in `embedkit.ingest`.
        sync: deletes at the end the rows of the collection that the data frame has not; the ids (about 100 bytes a row) lie in a
            temporary file of the driver meanwhile.
        filter: a sync deletes only among the rows that satisfy it.
        batch_size: rows that are looked up, encoded and written together; what a task that ended begins again with.
        device: ``cpu`` or ``cuda``.
        variant: a variant of the bundle; ``auto`` is found out on the driver, for all executors.
        engine: what computes; ``auto`` likewise.
        dead_letters: a folder of Parquet, or its address in a bucket (``s3://bucket/letters``), which Spark reads as a data frame; or a
            file that ends in ``.jsonl``, for `embedkit.ingestion.retry`. By default ``COLLECTION.dead.jsonl`` in the working folder.
        send_bundle: whether machines that have not this bundle at its path get it from the driver (up to 1 GB).
        preflight: whether the machines are looked at before anything is read.
        dim: the size to which dense vectors are cut, as in `embedkit.ingest`; so are the next three.
        precision: the precision in which they are kept.
        index: the settings of their index.
        any_dim: True for a size that the model was not trained for.

    Returns:
        What became of the rows, and how quick each executor was.

    Raises:
        InputError: a sync may delete nothing; `OptionError` for options that do not fit.
        StoreError: another ingest writes to this collection, or one process alone may write to this store.
        CollectionMismatchError: the collection belongs to another model.
        WorkerError: a machine cannot take part, by its name and with the reason; nothing was written then.
        IngestError: the store failed for good, or the run did; with the report of what was done before.
        IngestInterrupted: Ctrl-C; with the same report.
    """
    if not isinstance(df, DataFrame):
        raise InputError(f"df: expected a pyspark.sql.DataFrame, found {type(df).__name__}")
    context = getattr(df.sparkSession, "sparkContext", None) if not _is_remote(df) else None
    if context is None:
        raise InputError("df: expected a data frame of a session on a master; one by Spark Connect has no driver here")
    positive("batch_size", batch_size)
    work = Work(
        role=role,
        metric=metric,
        outputs=None if outputs is None else tuple(outputs),
        fields=fields or Fields(id_column, text_column),
        chunking=chunking,
        metadata_policy=metadata_policy,
        keep_ids=sync,
        kept=Kept(dim, precision, index, any_dim),
    )
    with (
        begun(
            bundle,
            store,
            collection,
            work,
            dead_letters=dead_letters,
            device=device,
            variant=variant,
            engine=engine,
            threads=int(context.getConf().get("spark.task.cpus", "1")),
        ) as run,
        listening(context.getConf().get("spark.driver.host", "127.0.0.1")) as driver,
    ):
        packed = context.broadcast(pack(run.encoder.bundle)) if send_bundle else None
        try:
            if preflight:
                require_ready(_checked(df, run, packed))
            worker = SparkWorker(run.plan, packed, driver.link, batch_size)
            return run.finish(
                _answers(df, worker),
                filter=filter,
                failures=(PySparkException,),
                cause=lambda error: driver.told[-1] if driver.told else error,
            )
        finally:
            if packed is not None:
                packed.destroy()


def _answers(df: DataFrame, worker: SparkWorker) -> Iterator[Any]:
    """The tables that the tasks give back, once all have ended: they lie on the disks of the executors until then, and are taken a
    partition at a time."""
    arrow = needed("pyarrow", "a distributed ingest", extra="spark")
    rows = df.select(
        struct("*").alias("row")
    )  # mapInArrow takes no column with a dot in its name, or with one name twice
    with _kept(rows.mapInArrow(worker, ANSWERS)) as answers:
        answers.count()
        for row in answers.toLocalIterator():
            yield arrow.table({name: [row[name]] for name in row.__fields__})


@contextmanager
def _kept(answers: DataFrame) -> Iterator[DataFrame]:
    answers.persist(StorageLevel.DISK_ONLY)
    try:
        yield answers
    finally:
        answers.unpersist()


def _checked(df: DataFrame, run: ClusterRun, packed: Any) -> list[NodeCheck]:
    """What is found by a task for each that the executors run at a time: so each is looked at, unless others keep it busy."""
    session = df.sparkSession
    tasks = session.sparkContext.defaultParallelism
    rows = session.range(0, tasks, 1, tasks).mapInArrow(NodeChecker(run.plan, packed, time.time()), CHECKS).collect()
    found = {row["node"]: NodeCheck(row["node"], tuple(row["problems"])) for row in rows}
    return [found[name] for name in sorted(found)]


def _is_remote(df: DataFrame) -> bool:
    return type(df).__module__.startswith("pyspark.sql.connect")
