"""``--on``: what names no cluster is told before anything is begun."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import click
import pytest

from embedkit.cli.cluster import by_cluster


@pytest.mark.parametrize("given", ["", "dask", "rays:1", ":6379", "sparks"])
def test_another_engine_is_refused(given, encoder):
    with pytest.raises(click.BadParameter, match="expected ray"):
        by_cluster(given, [], encoder, "sqlite-vec:x", collection="docs")


@pytest.mark.parametrize("given", ["ray", "spark"])
def test_a_server_is_no_bundle(given):
    with pytest.raises(click.BadParameter, match="load a bundle"):
        by_cluster(given, [], object(), "sqlite-vec:x", collection="docs")


def test_threads_of_tasks_are_set_in_spark(encoder):
    with pytest.raises(click.BadParameter, match="spark.task.cpus"):
        by_cluster("spark", [], encoder, "sqlite-vec:x", threads=2, collection="docs")


@pytest.mark.parametrize(
    ("given", "engine", "options"),
    [
        ("ray", "ray", {"address": None, "num_cpus": 1}),
        ("ray:10.0.0.1:6379", "ray", {"address": "10.0.0.1:6379", "num_cpus": 1}),
        ("spark", "spark", {"address": None}),
        ("spark:local[4]", "spark", {"address": "local[4]"}),
        ("spark://host:7077", "spark", {"address": "spark://host:7077"}),
        ("spark:spark://host:7077", "spark", {"address": "spark://host:7077"}),
    ],
)
def test_a_cluster_is_found_by_its_name(given, engine, options, encoder, monkeypatch):
    asked = []
    stands_in = SimpleNamespace(ingest_files=lambda *given, **named: asked.append((given, named)))
    monkeypatch.setitem(sys.modules, f"embedkit.{engine}", stands_in)
    by_cluster(given, [], encoder, "sqlite-vec:x", collection="docs")
    assert asked == [(([], encoder, "sqlite-vec:x"), {"collection": "docs"} | options)]
