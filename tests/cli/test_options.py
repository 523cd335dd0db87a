"""The options that several commands take: fields, formats, chunks."""

from __future__ import annotations

import io
import json
import sys

import pytest

pytest.importorskip("chromadb")

from embedkit.testing.tiny import tiny_bundle
from helpers.commands import STORE, error


def test_fields_formats_and_folders(run, bundle, folder, monkeypatch):
    (folder / "site").mkdir()
    (folder / "site" / "a.txt").write_text("from a folder")
    (folder / "site" / "b.png").write_bytes(b"\x89PNG\0")
    code, out, err = run("ingest", bundle, "site", *STORE)
    assert (code, err) == (0, "not read, since they are no text (1): site/b.png\n")
    assert "1 written" in out
    for command in (["check"], ["check", "--repair"], ["ingest", "--dry-run"], ["sync", "--chunk", 20, "--dry-run"]):
        _, _, err = run(command[0], bundle, "site", *STORE, *command[1:])
        assert err == "not read, since they are no text (1): site/b.png\n"
        assert run(command[0], bundle, "site", *STORE, *command[1:], "--quiet")[2] == ""
    table = b"title,body,year,note\nTea,Leaves.,2020,x\n"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(table)))
    fields = ["--text-field", "{title}:\\n{body}", "--metadata-fields", "year, title", "--id-from", "text"]
    assert "1 written" in run("ingest", bundle, "-", "--format", "csv", *fields, *STORE)[1]
    hits = json.loads(run("search", bundle, "Tea:\nLeaves.", *STORE, "-k", 1, "--json")[1])["hits"]
    assert (hits[0]["text"], hits[0]["metadata"]) == ("Tea:\nLeaves.", {"year": "2020", "title": "Tea"})
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(table)))
    assert "1 written" in run("ingest", bundle, "-", "--format", "csv", *fields, *STORE, "--type", "year=int")[1]
    assert json.loads(run("search", bundle, "tea", *STORE, "--filter", "year>=2020", "--json")[1])["hits"]
    assert run("ingest", bundle, "site", *STORE, "--type", "year")[0] == 2
    assert "found 'hash'" in error(run("ingest", bundle, "site", *STORE, "--id-from", "hash"))


def test_a_table_with_semicolons_in_latin_1(run, bundle, folder):
    (folder / "docs.csv").write_bytes("ID;Text\n1;Café, “so”\n".encode("cp1252"))
    table = ["--encoding", "latin-1", "--delimiter", ";", "--id-field", "ID", "--text-field", "Text"]
    assert "give --delimiter ';'" in error(run("ingest", bundle, "docs.csv", *STORE, *table[:2]))
    assert "there is 'ID': give --id-field 'ID'" in error(run("ingest", bundle, "docs.csv", *STORE, *table[:4]))
    for command in (["ingest", "--dry-run"], ["ingest"], ["sync"], ["check"]):
        assert run(command[0], bundle, "docs.csv", *STORE, *table, *command[1:])[0] == 0
    hits = json.loads(run("search", bundle, "cafe", *STORE, "--json")[1])["hits"]
    assert [(hit["id"], hit["text"]) for hit in hits] == [("1", "Café, “so”")]
    assert "found 'klingon'" in error(run("ingest", bundle, "docs.csv", *STORE, "--encoding", "klingon"))
    assert "expected one character" in error(run("ingest", bundle, "docs.csv", *STORE, "--delimiter", ";;"))
    (folder / "tabs.csv").write_text("id\ttext\n2\ttea\n")
    assert "1 written" in run("ingest", bundle, "tabs.csv", *STORE, "--delimiter", r"\t")[1]


def test_chunks(run, bundle, folder):
    (folder / "long.md").write_text("# Tea\n\n" + "A sentence about tea. " * 20)
    for size in ("auto", 50):
        code, out, _ = run(
            "ingest", bundle, "long.md", *STORE, "--chunk", size, "--overlap", 10, "--chunk-by", "headings"
        )
        assert code == 0
        assert "cut: split" not in out
    hits = json.loads(run("search", bundle, "tea", *STORE, "-k", 1, "--json")[1])["hits"]
    assert hits[0]["metadata"]["source"] == "long.md"
    assert hits[0]["metadata"]["headings"] == "Tea"
    assert "expected at most 62, found 63" in error(run("ingest", bundle, "long.md", *STORE, "--chunk", 63))
    assert "found 'pages'" in error(run("ingest", bundle, "long.md", *STORE, "--chunk", 9, "--chunk-by", "pages"))
    for wrong in (
        ["--chunk", "many"],
        ["--overlap", 3],
        ["--chunk-by", "tokens"],
        ["--late"],
        ["--chunk", "3s", "--late"],
    ):
        assert run("ingest", bundle, "long.md", *STORE, *wrong)[0] == 2


def test_late_chunks(run, bundle, folder):
    (folder / "long.md").write_text("# Tea\n\n" + "A sentence about tea. " * 20)
    chunk = ["long.md", *STORE, "--chunk", 20, "--late"]
    assert "export the model again with --late" in error(run("ingest", bundle, *chunk))
    late = tiny_bundle(folder / "late", kinds=("dense", "tokens"))
    assert "0 not usable" in run("ingest", late, *chunk)[1]
    assert "0 written" in run("sync", late, *chunk)[1]
    assert run("check", late, *chunk)[0] == 0
    assert "it holds late chunks, and these are plain ones" in error(run("ingest", late, *chunk[:-1]))
    assert (
        json.loads(run("search", late, "tea", *STORE, "-k", 1, "--json")[1])["hits"][0]["metadata"]["source"]
        == "long.md"
    )
