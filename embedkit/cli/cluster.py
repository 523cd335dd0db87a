"""``--on``: an ingest by the machines of a cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from embedkit.encoders.base import BaseEncoder
    from embedkit.ingestion import FileRows, IngestReport

cluster_option = click.option(
    "--on",
    "cluster",
    metavar="ray[:ADDRESS]",
    help="Let the workers of a Ray cluster encode and write, each with --threads CPUs (1): the cluster at ADDRESS, or the one that runs "
    "here, or one that is started. Files and the store are to be reached from all nodes.",
)


def by_cluster(cluster: str, rows: FileRows, encoder: BaseEncoder, store: str, **options: Any) -> IngestReport:
    """`embedkit.ray.ingest_files`; raises `click.BadParameter` for what names no cluster, and for an encoder that is no bundle's."""
    engine, _, address = cluster.partition(":")
    if engine != "ray":
        raise click.BadParameter(f"expected ray or ray:ADDRESS, found {cluster!r}", param_hint="--on")
    from embedkit.encoders.encoder import Encoder

    if not isinstance(encoder, Encoder):
        raise click.BadParameter(
            "a cluster's workers load a bundle; give its folder, and no address", param_hint="--on"
        )
    from embedkit.ray import ingest_files

    return ingest_files(rows, encoder, store, address=address or None, **options)
