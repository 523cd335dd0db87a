"""A data set of Ray into a collection."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import ray.data
from ray.data import ActorPoolStrategy

import ray
from embedkit.checks import positive
from embedkit.encoders.encoder import Encoder
from embedkit.errors import EmbedkitError, InputError, OptionError
from embedkit.ingestion.chunking.chunked import Chunking
from embedkit.ingestion.distributed.bundle_ref import pack
from embedkit.ingestion.distributed.driver import begun
from embedkit.ingestion.distributed.plan import Work
from embedkit.ingestion.distributed.preflight import require_ready
from embedkit.ingestion.distributed.report import DistributedReport
from embedkit.ingestion.pipeline.kept import Kept
from embedkit.ingestion.rows.fields import Fields
from embedkit.records.coercion import MetadataMode
from embedkit.records.filters import Filter
from embedkit.stores.contract import Metric

from .worker import Packed, RayWorker, check_nodes, lease

_INIT_DEATHS = 3


def ingest_dataset(
    ds: ray.data.Dataset,
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
    workers: int | tuple[int, int] = (1, 8),
    num_cpus: int = 4,
    num_gpus: float = 0,
    batch_size: int = 2048,
    device: str = "cpu",
    variant: str = "auto",
    engine: str = "auto",
    dead_letters: str | os.PathLike[str] | None = None,
    send_bundle: bool = True,
    preflight: bool = True,
    stall_seconds: float = 1800,
    on_progress: Callable[[DistributedReport], object] | None = None,
    dim: int | None = None,
    precision: str | None = None,
    index: Mapping[str, int] | None = None,
    any_dim: bool = False,
) -> DistributedReport:
    """`embedkit.ingest` by the workers of a Ray cluster: the same rows, with the same vectors to the last bit.

    A row of the data set is a whole document; its id must be in no other row. Each worker looks up which rows of its block the store has,
    encodes the others and writes them, so that vectors stay where they are made. A run that was cut is run again: what the store has
    unchanged is looked up and nothing more. Workers and nodes may end at any time: their blocks are taken by others. A row that ends
    three processes is a dead letter.

    Args:
        ds: the rows; as many columns as wanted, those beside id and text become metadata.
        bundle: the bundle's folder on the driver, or the loaded encoder.
        store: the address of a store that takes any number of processes; its credentials are in the environment of each node.
        collection: its name; it is made where it is not there, and its index is built once, at the end.
        id_column: the column of the ids.
        text_column: the column of the texts.
        fields: in their place what part of a row is what, as `embedkit.ingestion.Fields` says.
        chunking: how long documents are cut; None: not at all.
        role: the bundle's role by which the texts are encoded.
        metric: for a new collection; by default the model's own.
        outputs: names of what of the bundle is kept, as in `embedkit.ingest`.
        metadata_policy: as in `embedkit.ingest`.
        sync: deletes at the end the rows of the collection that the data set has not; the ids (about 100 bytes a row) lie in a temporary
            file of the driver meanwhile.
        filter: a sync deletes only among the rows that satisfy it.
        workers: how many, or the least and the most of them; the cluster grows as Ray is set up to.
        num_cpus: CPUs of a worker, which are its threads. Those of all workers must leave one of the cluster free for reading.
        num_gpus: GPUs of a worker, with ``device="cuda"``; a part of one too.
        batch_size: rows of a block.
        device: ``cpu`` or ``cuda``.
        variant: a variant of the bundle; ``auto`` is found out on the driver, for all workers.
        engine: what computes; ``auto`` likewise.
        dead_letters: a folder of Parquet, or its address in a bucket (``s3://bucket/letters``), which Ray reads as a data set; or a file
            that ends in ``.jsonl``, for `embedkit.ingestion.retry`. By default ``COLLECTION.dead.jsonl`` in the working folder.
        send_bundle: whether nodes that have not this bundle at its path get it from the driver (up to 1 GB).
        preflight: whether each node is looked at before anything is read.
        stall_seconds: a run in which nothing moves for so long fails.
        on_progress: called now and then with what was done until then.
        dim: the size to which dense vectors are cut, as in `embedkit.ingest`; so are the next three.
        precision: the precision in which they are kept.
        index: the settings of their index.
        any_dim: True for a size that the model was not trained for.

    Returns:
        What became of the rows, and how quick each node was.

    Raises:
        InputError: a sync may delete nothing; `OptionError` for options that do not fit.
        StoreError: another ingest writes to this collection, or one process alone may write to this store.
        CollectionMismatchError: the collection belongs to another model.
        WorkerError: a node cannot take part, by its name and with the reason; nothing was written then.
        IngestError: the store failed for good, or the run did; with the report of what was done before.
        IngestInterrupted: Ctrl-C; with the same report.
    """
    if not isinstance(ds, ray.data.Dataset):
        raise InputError(f"ds: expected a ray.data.Dataset, found {type(ds).__name__}")
    for name, value in (("batch_size", batch_size), ("num_cpus", num_cpus)):
        positive(name, value)
    least, most = _pool(workers)
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
            threads=num_cpus,
        ) as run,
        lease(_key(store, collection), f"the collection {collection!r}") as actor,
    ):
        packed: Packed = [ray.put(pack(run.encoder.bundle))] if send_bundle else []
        if preflight:
            require_ready(check_nodes(run.plan, packed, num_cpus=num_cpus, num_gpus=num_gpus))
        answers = ds.map_batches(
            RayWorker,  # type: ignore[arg-type]
            fn_constructor_args=(run.plan, packed, actor),
            batch_size=batch_size,
            batch_format="pyarrow",
            compute=ActorPoolStrategy(min_size=least, max_size=most),
            num_cpus=num_cpus,
            num_gpus=num_gpus,
        )
        with _patient(answers, stall_seconds):
            return run.finish(
                answers.iter_batches(batch_size=None, batch_format="pyarrow"),
                filter=filter,
                on_progress=on_progress,
                failures=(ray.exceptions.RayError, TimeoutError, RuntimeError),
                cause=_cause,
            )


def _cause(error: BaseException) -> BaseException:
    """What a worker raised, in what Ray made of it."""
    found: BaseException | None = error
    while found is not None:
        inner = getattr(found, "cause", None)
        if isinstance(found, EmbedkitError):
            return found
        found = inner if isinstance(inner, BaseException) else found.__cause__
    return error


@contextmanager
def _patient(answers: ray.data.Dataset, stall_seconds: float) -> Iterator[None]:
    """How long nothing may move, and how often a worker may end while it starts; as it was before afterwards, for the context is
    the user's too."""
    context: Any = answers.context
    wanted = {
        "execution_no_progress_timeout_s": stall_seconds,
        "max_consecutive_actor_init_deaths": _INIT_DEATHS,
        "max_errored_blocks": 0,  # the rows of a block that is passed over would be lost
    }
    before = {name: getattr(context, name) for name in wanted}
    for name, value in wanted.items():
        setattr(context, name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(context, name, value)


def _pool(workers: int | tuple[int, int]) -> tuple[int, int]:
    least, most = (workers, workers) if isinstance(workers, int) else workers
    for value in (least, most):
        positive("workers", value)
    if least > most:
        raise OptionError(f"workers: expected the least and the most of them, found {workers!r}")
    return least, most


def _key(store: str, collection: str) -> str:
    return hashlib.sha256(f"{store}\0{collection}".encode("utf-8", "surrogatepass")).hexdigest()[:32]
