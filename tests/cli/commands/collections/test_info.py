"""``embedkit info``: what collections are."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("sqlite_vec")

from embedkit.ingestion import info
from embedkit.stores.opening import open_store
from helpers.commands import error

STORE = "sqlite-vec:index.db"


def test_collections_are_told_of(run, bundle, docs, folder):
    assert "there is no store at 'sqlite-vec:index.db'" in error(run("info", STORE))
    assert not (folder / "index.db").exists()
    open_store(STORE).close()
    assert run("info", STORE)[1] == "no collections\n"
    assert (
        run("ingest", bundle, docs, "--store", STORE, "--collection", "docs", "--precision", "int8", "--quiet")[0] == 0
    )
    found = info(STORE, collection="docs")
    assert run("info", STORE)[1] == f"{found}\n"
    told = json.loads(run("info", STORE, "--collection", "docs", "--sample", 3, "--json")[1])
    assert told["store"] == STORE
    assert told["collections"] == [found.to_json() | {"sampled": 3}]
    assert "no collection 'other'" in error(run("info", STORE, "--collection", "other"))
