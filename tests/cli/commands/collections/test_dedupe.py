"""``embedkit dedupe``: rows that are nearly the same, told and deleted."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("sqlite_vec")

import embedkit
from helpers.commands import error

STORE = "sqlite-vec:index.db"


def test_duplicates_are_told_and_deleted(run, bundle, folder):
    (folder / "some.jsonl").write_text(
        "".join(json.dumps({"id": str(i), "text": ["a boat", "rain", "a boat"][i % 3]}) + "\n" for i in range(6))
    )
    place = ["--collection", "docs"]
    assert run("ingest", bundle, "some.jsonl", "--store", STORE, *place, "--quiet")[0] == 0
    told = json.loads(run("dedupe", STORE, *place, "--threshold", 0.9999, "--json", "--quiet")[1])
    assert {group["kept"]: sorted(group["others"]) for group in told["groups"]} == {"0": ["2", "3", "5"], "1": ["4"]}
    assert "4 nearly the same" in run("dedupe", STORE, *place, "--threshold", 0.9999)[1]
    assert run("dedupe", STORE, *place, "--threshold", 0.9999, "--delete", "--quiet")[0] == 0
    with embedkit.open_store(STORE) as store:
        assert sorted(row.id for row in store.open("docs").records()) == ["0", "1"]
    assert "threshold" in error(run("dedupe", STORE, *place, "--threshold", 2))
