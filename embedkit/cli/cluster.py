"""``--on``: an ingest by the machines of a cluster."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from embedkit.encoders.base import BaseEncoder
    from embedkit.ingestion import FileRows, IngestReport

cluster_option = click.option(
    "--on",
    "cluster",
    metavar="ray[:ADDRESS]|spark[:MASTER]",
    help="Let the workers of a cluster encode and write. Ray: the cluster at ADDRESS, or the one that runs here, or one that is started; each "
    "with --threads CPUs (1). Spark: that of MASTER (spark://HOST:7077, local[4]), or what Spark is set up for. Files and the store are to "
    "be reached from all machines.",
)


def by_cluster(
    cluster: str, rows: FileRows, encoder: BaseEncoder, store: str, *, threads: int | None = None, **options: Any
) -> IngestReport:
    """`embedkit.ray.ingest_files` or that of `embedkit.spark`; ``threads`` are those of a worker of Ray. Raises `click.BadParameter` for
    what names no cluster, and for an encoder that is no bundle's."""
    engine, _, address = cluster.partition(":")
    if engine not in ("ray", "spark"):
        raise click.BadParameter(
            f"expected ray, ray:ADDRESS, spark or spark:MASTER, found {cluster!r}", param_hint="--on"
        )
    from embedkit.encoders.encoder import Encoder

    if not isinstance(encoder, Encoder):
        raise click.BadParameter(
            "a cluster's workers load a bundle; give its folder, and no address", param_hint="--on"
        )
    ingest_files: Callable[..., IngestReport]
    if engine == "ray":
        from embedkit.ray import ingest_files

        options["num_cpus"] = threads or 1
    else:
        if threads is not None:
            raise click.BadParameter("set spark.task.cpus for more threads a task", param_hint="--threads")
        from embedkit.spark import ingest_files
    return ingest_files(rows, encoder, store, address=_master(engine, address), **options)


def _master(engine: str, address: str) -> str | None:
    """What the engine calls a place: ``spark://host:7077`` is written as ``spark:MASTER`` and as itself."""
    if engine == "spark" and address.startswith("//"):
        return f"spark:{address}"
    return address or None
