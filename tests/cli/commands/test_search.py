"""``embedkit search``: pages, thresholds, many queries."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("chromadb")

from embedkit.testing.tiny import tiny_bundle
from helpers.commands import STORE, error


def test_another_models_collection_is_refused(run, bundle, docs, folder):
    other = tiny_bundle(folder / "other", seed=1)
    wide = tiny_bundle(folder / "wide", dim=16)
    run("ingest", bundle, docs, *STORE)
    assert "another model's vectors" in error(run("ingest", other, docs, *STORE))
    assert "another model's vectors" in error(run("search", other, "q", *STORE))
    assert "dim: it was made for 8, found 16" in error(run("ingest", wide, docs, *STORE))


def test_pages_thresholds_and_many_queries(run, bundle, docs, folder):
    run("ingest", bundle, docs, *STORE)
    whole = json.loads(run("search", bundle, "text number 7", *STORE, "-k", 20, "--json")[1])["hits"]
    page = json.loads(run("search", bundle, "text number 7", *STORE, "-k", 5, "--offset", 5, "--json")[1])["hits"]
    assert page == whole[5:10]
    assert run("search", bundle, "text number 7", *STORE, "-k", 2, "--offset", 3)[1].startswith("  4. ")
    assert run("search", bundle, "x", *STORE, "--min-score", 1.5)[2] == "no document scores 1.5 or more\n"
    assert run("search", bundle, "x", *STORE, "--offset", 100)[2] == "there are no more documents\n"
    spread = json.loads(run("search", bundle, "text number 7", *STORE, "--diversity", 0.5, "--json")[1])["hits"]
    assert spread[0] == whole[0]
    again = json.loads(run("search", bundle, "text number 7", *STORE, "--rescore", "--json")[1])["hits"]
    assert [hit["id"] for hit in again] == [hit["id"] for hit in whole[:10]]
    assert run("search", bundle, "x", *STORE, "--group-size", 2)[0] == 2
    (folder / "questions.txt").write_text("text number 7\n\ntext number 9\n")
    code, out, _ = run("search", bundle, "--input", "questions.txt", *STORE, "-k", 1)
    assert code == 0
    answers = [json.loads(line) for line in out.splitlines()]
    assert [(one["query"], one["hits"][0]["id"]) for one in answers] == [("text number 7", "7"), ("text number 9", "9")]
    assert run("search", bundle, *STORE)[0] == 2


def test_the_best_of_each_group(run, bundle, folder):
    (folder / "d.jsonl").write_text(
        "".join(json.dumps({"id": str(i), "text": f"text number {i}", "shelf": i % 3}) + "\n" for i in range(30))
    )
    run("ingest", bundle, "d.jsonl", *STORE)
    asked = ("search", bundle, "text number 7", *STORE, "--group-by", "shelf", "--json")
    hits = json.loads(run(*asked)[1])["hits"]
    assert sorted(hit["metadata"]["shelf"] for hit in hits) == [0, 1, 2]
    assert hits[0]["id"] == "7"
    assert len(json.loads(run(*asked, "--group-size", 2)[1])["hits"]) == 6


def test_what_comes_from_a_store_cannot_steer_the_terminal(run, bundle, folder):
    (folder / "d.jsonl").write_text(
        json.dumps({"id": "a\x1b[2J", "text": "x\x1b]0;title\x07\u202e\nsecond line " * 50})
    )
    run("ingest", bundle, "d.jsonl", *STORE)
    out = run("search", bundle, "x", *STORE)[1]
    assert len(out.splitlines()) == 2
    assert not set(out) & set("\x1b\x07\u202e")
    assert max(len(line) for line in out.splitlines()) < 170


def test_what_matched_is_told(run, bundle, folder):
    (folder / "some.jsonl").write_text('{"id": 1, "text": "tea"}\n{"id": 2, "text": "rain"}\n')
    run("ingest", bundle, "some.jsonl", *STORE)
    assert "explain: collection 'docs' is ranked by one dense vector" in error(
        run("search", bundle, "tea", *STORE, "--explain")
    )
    ask = ("search", bundle, "tea", *STORE, "--hybrid", "--explain")
    out = run(*ask)[1]
    assert "     lexical: tea " in out
    hits = json.loads(run(*ask, "--json")[1])["hits"]
    told = [hit for hit in hits if "lexical" in hit["parts"]]
    assert told
    for hit in told:
        (match,) = hit["matches"]["lexical"]
        assert (match["query"], match["score"]) == ("tea", pytest.approx(hit["parts"]["lexical"]))
