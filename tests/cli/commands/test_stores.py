"""``embedkit stores`` and ``copy``."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("chromadb")

from helpers.commands import STORE


def test_stores(run):
    code, out, _ = run("stores")
    assert code == 0
    assert "chroma       ready" in out
    assert "chroma:FOLDER" in out
    assert "embedkit finishes exists, none, not, the order of text" in out
    chroma = json.loads(run("stores", "--json")[1])["chroma"]
    assert (chroma["ready"], chroma["problem"]) == (True, "")
    folder = chroma["stores"]["chroma:FOLDER"]
    assert (folder["multi_process"], folder["metrics"]) == (False, ["cosine", "dot", "euclidean"])
    assert chroma["stores"]["chroma://HOST:PORT"]["multi_process"]
    assert "chroma:FOLDER                    dense; " in out
    assert "memory:NAME                      dense, sparse, multivector; " in out
    assert (folder["sparse"], folder["multivector"]) == (False, False)


def test_copy(run, bundle, docs):
    run("ingest", bundle, docs, *STORE)
    code, out, err = run("copy", "chroma:index", "sqlite-vec:rows.db", "--collection", "docs")
    assert (code, err) == (0, "")
    assert "40 written" in out
    again = json.loads(run("copy", "chroma:index", "sqlite-vec:rows.db", "--collection", "docs", "--json")[1])
    assert (again["unchanged"], again["written"]) == (40, 0)
    assert (
        "2 written"
        in run("copy", "chroma:index", "chroma:index", "--collection", "docs", "--as", "x", "--filter", "year<2002")[1]
    )
    query = ["search", bundle, "text number 7", "--collection", "docs", "--json", "--store"]
    here, there = (json.loads(run(*query, url)[1])["hits"] for url in ("chroma:index", "sqlite-vec:rows.db"))
    assert [hit["id"] for hit in here] == [hit["id"] for hit in there]
