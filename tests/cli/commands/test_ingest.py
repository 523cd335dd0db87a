"""``embedkit ingest``, ``sync``, ``check`` and ``retry``: from files into a collection."""

from __future__ import annotations

import io
import json
import sys

import pytest

pytest.importorskip("chromadb")

from helpers.commands import STORE, error


def test_ingest_then_again_then_search(run, bundle, docs):
    code, out, err = run("ingest", bundle, docs, *STORE)
    assert (code, err) == (0, "")
    assert "40 read, 40 written, 0 unchanged" in out
    assert "0 written, 40 unchanged" in run("ingest", bundle, docs, *STORE)[1]

    code, out, err = run("search", bundle, "text number 7", *STORE, "-k", 3)
    assert (code, err) == (0, "")
    assert out.splitlines()[0].split() == ["1.", "1.0000", "7"]
    assert out.splitlines()[1].strip() == "text number 7"
    assert len(out.splitlines()) == 6

    found = json.loads(
        run("search", bundle, "text number 7", *STORE, "--json", "--filter", "year>=2020", "--filter", "lang=de")[1]
    )
    assert found["query"] == "text number 7"
    assert len(found["hits"]) == 10
    for hit in found["hits"]:
        assert hit["metadata"]["year"] >= 2020
        assert hit["metadata"]["lang"] == "de"
        assert set(hit) == {"id", "score", "text", "metadata"}
    nothing = run("search", bundle, "x", *STORE, "--filter", "year>3000")
    assert nothing == (0, "", "no document satisfies the filter\n")


def test_the_summary_in_json_and_none_at_all(run, bundle, docs):
    report = json.loads(run("ingest", bundle, docs, *STORE, "--json")[1])
    assert (report["written"], report["dead"], report["dead_letters"]) == (40, 0, None)
    assert run("ingest", bundle, docs, *STORE, "--quiet") == (0, "", "")


def test_bad_rows_go_to_a_file_and_can_fail_the_command(run, bundle, folder):
    (folder / "docs.jsonl").write_text('{"key": 1, "body": "good"}\n{"key": 2}\n{"key": 3, "body": " "}\n')
    options = ["--id-field", "key", "--text-field", "body", "--dead-letters", "bad.jsonl"]
    code, out, _ = run("ingest", bundle, "docs.jsonl", *STORE, *options)
    assert code == 0
    assert "1 written" in out
    assert "2 not usable" in out
    assert "bad.jsonl" in out
    assert [json.loads(line)["line"] for line in (folder / "bad.jsonl").read_text().splitlines()] == [2, 3]
    assert run("ingest", bundle, "docs.jsonl", *STORE, *options, "--fail-on-dead")[0] == 1
    assert "one of the inputs" in error(run("ingest", bundle, "bad.jsonl", *STORE, "--dead-letters", "bad.jsonl"))


def test_text_files_and_standard_input(run, bundle, folder, monkeypatch):
    (folder / "a.md").write_text("# a note")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b'{"id": "s", "text": "from a pipe"}')))
    assert "2 written" in run("ingest", bundle, "a.md", "-", *STORE)[1]
    hits = json.loads(run("search", bundle, "# a note", *STORE, "--json")[1])["hits"]
    assert (hits[0]["id"], hits[0]["metadata"]) == ("a.md", {"path": "a.md"})


def test_retry(run, bundle, folder):
    (folder / "docs.jsonl").write_text('{"id": 1, "text": "good"}\n{"id": 2, "body": "elsewhere"}\n{"id": 3}\n')
    run("ingest", bundle, "docs.jsonl", *STORE)
    code, out, err = run("retry", bundle, "docs.dead.jsonl", *STORE, "--text-field", "body", "--fail-on-dead")
    assert (code, err) == (1, "")
    assert "2 read, 1 written" in out
    assert "docs.dead.jsonl" in out
    (letter,) = map(json.loads, (folder / "docs.dead.jsonl").read_text().splitlines())
    assert (letter["id"], letter["line"]) == ("3", 3)
    letter["row"] = '{"id": 3, "text": "repaired"}'
    (folder / "docs.dead.jsonl").write_text(json.dumps(letter))
    report = json.loads(run("retry", bundle, "docs.dead.jsonl", *STORE, "--json", "--chunk", "auto")[1])
    assert (report["written"], report["dead"], report["dead_letters"]) == (1, 0, None)
    assert not (folder / "docs.dead.jsonl").exists()
    assert "is no dead-letter file" in error(run("retry", bundle, "docs.dead.jsonl", *STORE))


def test_sync_check_and_repair(run, bundle, docs, folder):
    run("ingest", bundle, docs, *STORE)
    (folder / "less.jsonl").write_text("".join(line + "\n" for line in docs.read_text().splitlines()[10:]))
    code, out, _ = run("check", bundle, "less.jsonl", *STORE)
    assert code == 1
    assert "10 in the collection only" in out
    said = json.loads(run("sync", bundle, "less.jsonl", *STORE, "--dry-run", "--json")[1])
    assert (said["gone"], said["unchanged"], said["new"]) == (10, 30, 0)
    assert "40 rows" in run("check", bundle, docs, *STORE)[1]
    code, out, _ = run("sync", bundle, "less.jsonl", *STORE)
    assert code == 0
    assert "10 deleted" in out
    code, out, _ = run("check", bundle, docs, *STORE, "--vectors", 5, "--repair", "--json")
    first, report, last = map(json.loads, out.splitlines())
    assert code == 0
    assert (first["missing"], report["written"], last["consistent"]) == (10, 10, True)
    assert run("check", bundle, docs, *STORE, "--quiet") == (0, "", "")
    (folder / "none.jsonl").write_text("")
    _, _, err = run("sync", bundle, "none.jsonl", *STORE)
    assert "nothing was deleted" in err
    assert run("check", bundle, docs, *STORE, "--within", "lang==en")[0] == 0
    assert run("check", bundle, "-", *STORE, "--repair")[0] == 2


def test_a_dry_run_writes_nothing(run, bundle, docs, folder):
    code, out, err = run("ingest", bundle, docs, *STORE, "--dry-run")
    assert (code, err) == (0, "")
    assert "40 new" in out
    assert "about " in out
    assert "nothing was written" in out
    assert "no collection 'docs'" in error(run("search", bundle, "x", *STORE))


def test_metadata_and_metric(run, bundle, folder):
    (folder / "docs.jsonl").write_text('{"id": 1, "text": "a", "x": NaN}\n')
    assert "1 written" in run("ingest", bundle, "docs.jsonl", *STORE, "--metadata", "json", "--metric", "euclidean")[1]
    hit = json.loads(run("search", bundle, "a", *STORE, "--json")[1])["hits"][0]
    assert hit["metadata"] == {"x": None}
    assert hit["score"] == pytest.approx(0, abs=1e-3)
    assert "expected one of strict, coerce, json" in error(
        run("ingest", bundle, "docs.jsonl", *STORE, "--metadata", "x")
    )
    assert "expected one of" in error(
        run("ingest", bundle, "docs.jsonl", "--store", "chroma:i", "--collection", "c", "--metric", "l1")
    )


def test_near_duplicates_are_left_out(run, bundle, folder):
    (folder / "same.jsonl").write_text(
        "".join(json.dumps({"id": i, "text": "tea" if i % 2 else f"rain {i}"}) + "\n" for i in range(6))
    )
    code, out, _ = run("ingest", bundle, "same.jsonl", *STORE, "--dedupe", 0.9999, "--fail-on-dead", "--json")
    report = json.loads(out)
    assert (code, report["written"], report["dead"], report["near_duplicates"]) == (0, 4, 2, 2)
    for wrong in (["--dedupe", 0], ["--dedupe", 2], ["--dedupe", 0.9, "--dry-run"]):
        assert run("ingest", bundle, "same.jsonl", *STORE, *wrong)[0] == 2
