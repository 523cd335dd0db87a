"""``embedkit similar``: rows by their ids, and no model."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("sqlite_vec")

import embedkit
from helpers.commands import error

STORE = "sqlite-vec:index.db"
PLACE = ["--collection", "docs"]


def test_rows_like_others(run, bundle, docs, folder):
    assert run("ingest", bundle, docs, "--store", STORE, *PLACE, "--quiet")[0] == 0
    expected = embedkit.similar(STORE, collection="docs", like=["3", "4"], unlike=["9"], k=5)
    asked = ["similar", STORE, "3", "4", "--unlike", "9", *PLACE, "-k", 5]
    code, out, _ = run(*asked, "--json")
    assert code == 0
    told = json.loads(out)
    assert (told["like"], told["unlike"]) == (["3", "4"], ["9"])
    assert [hit["id"] for hit in told["hits"]] == [hit.id for hit in expected]
    assert run(*asked)[1].startswith(f"  1. {expected[0].score:7.4f}  {expected[0].id}\n")
    assert json.loads(run(*asked, "--offset", 2, "--json")[1])["hits"][0]["id"] == expected[2].id
    assert "has no row 'x'" in error(run("similar", STORE, "x", *PLACE))
    assert run("similar", STORE, *PLACE)[0] == 2
