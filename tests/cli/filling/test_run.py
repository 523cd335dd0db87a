"""An ingest by the command line into a collection that keeps its vectors in few bits."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("sqlite_vec")

import embedkit
from embedkit.cli.filling.run import names_of
from helpers.commands import error

STORE = "sqlite-vec:index.db"
PLACE = ["--store", STORE, "--collection", "docs"]


def test_names_stand_between_commas():
    assert names_of("dense, sparse") == ["dense", "sparse"]
    assert names_of(None) is names_of("") is None


def test_size_and_precision_are_said_once_and_followed(run, bundle, docs, folder):
    refused = error(run("ingest", bundle, docs, *PLACE, "--dim", 4, "--quiet"))
    assert "--any-dim" in refused
    given = ["--dim", 4, "--any-dim", "--precision", "int8+full"]
    estimate = json.loads(run("ingest", bundle, docs, *PLACE, *given, "--dry-run", "--json", "--quiet")[1])
    assert estimate["vector_bytes"] == 16 * estimate["new"]
    assert run("ingest", bundle, docs, *PLACE, *given, "--quiet")[0] == 0
    with embedkit.open_store(STORE) as store:
        info = store.open("docs").info
        assert (info.dim, str(info.keeping)) == (4, "int8+full")
    report = json.loads(run("sync", bundle, docs, *PLACE, "--json", "--quiet")[1])
    assert report["unchanged"] == report["read"] > 0
    assert run("search", bundle, "a question", *PLACE)[0] == 0
    assert run("check", bundle, docs, *PLACE, "--vectors", 5, "--quiet")[0] == 0
    assert "int8+full" in error(run("ingest", bundle, docs, *PLACE, "--precision", "binary", "--quiet"))
    assert run("ingest", bundle, docs, *PLACE, "--index", "m", "--quiet")[0] == 2
    assert "index takes no setting" in error(
        run("ingest", bundle, docs, "--store", STORE, "--collection", "more", "--index", "m=8", "--quiet")
    )
