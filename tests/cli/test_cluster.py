"""``--on``: what names no cluster is told before anything is begun."""

from __future__ import annotations

import click
import pytest

from embedkit.cli.cluster import by_cluster


@pytest.mark.parametrize("given", ["", "dask", "rays:1", ":6379"])
def test_another_engine_is_refused(given, encoder):
    with pytest.raises(click.BadParameter, match="expected ray"):
        by_cluster(given, [], encoder, "sqlite-vec:x", collection="docs")


def test_a_server_is_no_bundle():
    with pytest.raises(click.BadParameter, match="load a bundle"):
        by_cluster("ray", [], object(), "sqlite-vec:x", collection="docs")
