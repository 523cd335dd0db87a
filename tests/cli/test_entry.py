"""The command ``embedkit`` as a person uses it: its files, its output, its exit codes."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("chromadb")

import embedkit
from embedkit.cli import entry as cli
from embedkit.testing.tiny import tiny_bundle

STORE = ["--store", "chroma:index", "--collection", "docs"]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch, entry_points):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(capsys, monkeypatch):
    """Calls the command; its exit code, stdout and stderr."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["embedkit", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        captured = capsys.readouterr()
        return ended.value.code or 0, captured.out, captured.err

    return call


@pytest.fixture
def docs(folder):
    path = folder / "docs.jsonl"
    rows = [{"id": i, "text": f"text number {i}", "year": 2000 + i, "lang": "en" if i % 2 else "de"} for i in range(40)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def error(result):
    code, out, err = result
    assert (code, out) == (1, ""), err
    assert err.startswith("error: ")
    assert err.count("\n") == 1, "an error is one line"
    return err


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


def test_fields_formats_and_folders(run, bundle, folder, monkeypatch):
    (folder / "site").mkdir()
    (folder / "site" / "a.txt").write_text("from a folder")
    (folder / "site" / "b.png").write_bytes(b"\x89PNG\0")
    code, out, err = run("ingest", bundle, "site", *STORE)
    assert (code, err) == (0, "not read, since they are no text (1): site/b.png\n")
    assert "1 written" in out
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
    for wrong in (["--chunk", "many"], ["--overlap", 3], ["--chunk-by", "tokens"]):
        assert run("ingest", bundle, "long.md", *STORE, *wrong)[0] == 2


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


def test_encode_prints_numbers_that_give_back_the_vectors(run, bundle, encoder):
    code, out, err = run("encode", bundle, "one", "two", "--variant", "fp32")
    assert (code, err) == (0, "")
    found = np.array([json.loads(line) for line in out.splitlines()], dtype=np.float32)
    assert found.tobytes() == encoder.encode(["one", "two"]).tobytes()


def test_encode_writes_a_file(run, bundle, encoder, folder):
    texts = ["one", "", "héllo 🎉", "x" * 500]
    (folder / "texts.txt").write_bytes(b"\xef\xbb\xbf" + "\r\n".join(texts).encode())
    code, out, err = run("encode", bundle, "--input", "texts.txt", "--output", "v.npy", "--variant", "fp32")
    assert (code, out) == (0, "")
    assert "4 vectors of 8 numbers: v.npy" in err
    assert "1 of 4 texts were longer than the 64 tokens" in err
    assert np.load("v.npy").tobytes() == encoder.encode(texts).tobytes()
    run("encode", bundle, "--input", "texts.txt", "--output", "v.npy", "--dim", 4, "--role", "query")
    assert np.load("v.npy").shape == (4, 4)


def test_encode_in_fewer_bits(run, bundle, encoder, folder):
    texts = [f"text {i}" for i in range(120)]
    (folder / "texts.txt").write_text("\n".join(texts))
    fixed = ["--input", "texts.txt", "--variant", "fp32", "--output", "v.npy", "--precision"]
    full = encoder.encode(texts)
    assert run("encode", bundle, *fixed, "ubinary")[0] == 0
    assert np.load("v.npy").tobytes() == embedkit.quantize(full, "ubinary").tobytes()
    ranges = embedkit.fit_ranges(full)
    ranges.save("ranges.json")
    assert run("encode", bundle, *fixed, "int8", "--ranges", "ranges.json")[0] == 0
    assert np.load("v.npy").tobytes() == embedkit.quantize(full, "int8", ranges=ranges).tobytes()
    code, out, _ = run(
        "encode", bundle, "text 3", "--variant", "fp32", "--precision", "uint8", "--ranges", "ranges.json"
    )
    assert code == 0
    assert json.loads(out) == embedkit.quantize(full[3:4], "uint8", ranges=ranges)[0].tolist()
    assert run("encode", bundle, *fixed, "int8")[0] == 2
    assert "found 'int4'" in error(run("encode", bundle, *fixed, "int4"))
    assert "No such file" in error(run("encode", bundle, *fixed, "int8", "--ranges", "none.json"))


def test_the_engine_is_said(run, bundle, folder):
    (folder / "texts.txt").write_text("one")
    _, _, err = run("encode", bundle, "--input", "texts.txt", "--output", "v.npy", "--engine", "onnxruntime")
    assert "onnxruntime: it was named" in err
    assert (
        "engine       onnxruntime, variant int8, device cpu: " in run("inspect", bundle, "--engine", "onnxruntime")[1]
    )
    loaded = json.loads(run("inspect", bundle, "--engine", "onnxruntime", "--json")[1])["loaded"]
    assert loaded["engine"] == "onnxruntime"
    assert "engine       " not in run("inspect", bundle)[1]
    assert "expected 'auto' or one of onnxruntime, openvino" in error(
        run("encode", bundle, "text", "--engine", "tensorrt")
    )


def test_encode_of_a_line_that_is_no_text_leaves_the_old_file(run, bundle, folder):
    (folder / "v.npy").write_text("old")
    (folder / "texts.txt").write_bytes(b"fine\n\xff\n")
    found = error(run("encode", bundle, "--input", "texts.txt", "--output", "v.npy"))
    assert "texts.txt, line 2: not valid UTF-8" in found
    assert (folder / "v.npy").read_text() == "old"
    assert sorted(path.name for path in folder.iterdir()) == ["texts.txt", "v.npy"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["encode"],
        ["encode", "B"],
        ["encode", "B", "text", "--input", "-"],
        ["encode", "B", "text", "--output", "v.txt"],
        ["encode", "B", "text", "--dim", "0"],
        ["ingest", "B", "f.jsonl"],
        ["search", "B", "q", *STORE, "-k", "0"],
        ["search", "B", "q", *STORE, "-k", "many"],
        ["nothing"],
    ],
)
def test_wrong_usage_is_exit_code_2(run, arguments):
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert "Traceback" not in err


def test_what_is_missing_is_named_with_what_to_do(run, bundle, docs, folder):
    assert "found nothing; make one with embedkit-export" in error(run("inspect", "nowhere"))
    assert "expected a bundle folder, found a file" in error(run("verify", docs))
    assert "no embedkit.json in this folder, so it is no bundle" in error(run("encode", folder, "text"))
    assert "none.jsonl: No such file" in error(run("ingest", bundle, "none.jsonl", *STORE))
    unknown = error(run("ingest", bundle, docs, "--store", "nowhere:x", "--collection", "c"))
    assert "unknown store scheme 'nowhere'" in unknown
    assert "chroma, lancedb, memory, milvus, pgvector, qdrant, qdrant-edge, sqlite-vec" in unknown
    assert "no collection 'books'" in error(
        run("search", bundle, "q", "--store", "chroma:index", "--collection", "books")
    )
    assert "cannot read the filter 'year'" in error(run("search", bundle, "q", *STORE, "--filter", "year"))
    assert "this bundle has fp32, int8" in error(run("encode", bundle, "text", "--variant", "int4"))
    assert "this bundle has default, query, document" in error(run("encode", bundle, "text", "--role", "x"))
    assert "dim: expected an integer from 1 to 8" in error(run("encode", bundle, "text", "--dim", 9))
    assert "is no folder that can be written" in error(
        run("ingest", bundle, docs, *STORE, "--dead-letters", "no/where.jsonl")
    )
    assert "expected some text" in error(run("search", bundle, " ", *STORE))


def test_a_missing_extra_is_named_with_its_command(run, bundle, docs, monkeypatch):
    monkeypatch.setitem(sys.modules, "chromadb", None)
    assert "pip install 'embedkit-onnx[chroma]'" in error(run("ingest", bundle, docs, *STORE))
    code, out, _ = run("stores")
    assert code == 0
    assert "pip install 'embedkit-onnx[chroma]'" in out.splitlines()[0]
    monkeypatch.setitem(sys.modules, "openvino", None)
    assert "pip install 'embedkit-onnx[openvino]'" in error(run("encode", bundle, "text", "--engine", "openvino:f32"))
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert "pip install 'embedkit-onnx[cpu]'" in error(run("encode", bundle, "text"))


def test_another_models_collection_is_refused(run, bundle, docs, folder):
    other = tiny_bundle(folder / "other", seed=1)
    wide = tiny_bundle(folder / "wide", dim=16)
    run("ingest", bundle, docs, *STORE)
    assert "another model's vectors" in error(run("ingest", other, docs, *STORE))
    assert "another model's vectors" in error(run("search", other, "q", *STORE))
    assert "dim: it was made for 8, found 16" in error(run("ingest", wide, docs, *STORE))


def test_a_flipped_byte_is_found(run, folder):
    path = tiny_bundle(folder / "b")
    file = path / "model.int8.onnx"
    raw = bytearray(file.read_bytes())
    raw[-1] ^= 1
    file.write_bytes(raw)
    assert "model.int8.onnx: sha256: expected" in error(run("verify", path))
    assert "model.int8.onnx: sha256: expected" in error(run("encode", path, "text"))


def test_verify(run, bundle):
    code, out, _ = run("verify", bundle)
    assert code == 0
    assert out.endswith("verified\n")
    code, out, _ = run("verify", bundle, "--variant", "fp32", "--json")
    assert json.loads(out)["passed"]
    assert {check["variant"] for check in json.loads(out)["checks"]} == {"fp32"}


def test_verify_that_fails_is_exit_code_1(run, bundle, monkeypatch):
    monkeypatch.setattr("embedkit.runtime.verification.FP32_MAX_ABS", 0.0)
    code, out, _ = run("verify", bundle)
    assert code == 1
    assert "install another version of onnxruntime" in out


def test_inspect(run, folder):
    bundle = tiny_bundle(folder / "b", prefixes={"query": "query: "})
    code, out, _ = run("inspect", bundle)
    assert code == 0
    fingerprint = embedkit.Bundle.open(bundle).manifest.fingerprint
    for part in (fingerprint, "query: 'query: {text}'", "at most 64 tokens", "8 dimensions", "int8", "0.95000"):
        assert part in out
    whole = json.loads(run("inspect", bundle, "--json")[1])
    assert whole["roles"]["query"]["template"] == "query: {text}"
    assert whole["roles"]["default"]["variants"]["fp32"]["bytes"] == (bundle / "model.fp32.onnx").stat().st_size


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
    (folder / "questions.txt").write_text("text number 7\n\ntext number 9\n")
    code, out, _ = run("search", bundle, "--input", "questions.txt", *STORE, "-k", 1)
    assert code == 0
    answers = [json.loads(line) for line in out.splitlines()]
    assert [(one["query"], one["hits"][0]["id"]) for one in answers] == [("text number 7", "7"), ("text number 9", "9")]
    assert run("search", bundle, *STORE)[0] == 2


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


def test_version_and_help(run):
    assert run("--version") == (0, f"embedkit {embedkit.__version__}\n", "")
    code, out, _ = run("--help")
    assert code == 0
    for command in ("encode", "ingest", "retry", "search", "inspect", "verify", "stores", "demo", "eval"):
        assert f"  {command}" in out
        text = run(command, "--help")[1]
        assert text.startswith(f"Usage: embedkit {command} ")
        assert "..." not in text.split("Options:")[0].replace("TEXT]...", "").replace("FILE...", "").replace(
            "BUNDLE...", ""
        )
        assert run(command, "-h")[1] == text


def test_the_help_tells_what_is_needed_and_what_is_the_default(run):
    assert run() == (2, "", run("--help")[1])
    listed = run("--help")[1].split("Commands:\n")[1].split("\n\n")[0]
    names = "encode rerank classify ingest sync check retry search copy stores load-table inspect verify eval demo"
    assert [line.split()[0] for line in listed.splitlines()] == names.split()
    text = run("search", "--help")[1]
    assert text.startswith("Usage: embedkit search [OPTIONS] BUNDLE [QUERY]\n")
    assert "\n  BUNDLE   A folder that embedkit-export made.  [required]\n  [QUERY]  What to look for.\n" in text
    assert "\n    embedkit search bundle 'tea from the mountains' --store chroma:index --collection docs -k 5\n" in text
    words = " ".join(text.split())
    for part in (
        "--store URL The store's address, such as chroma:index. [required]",
        "The most hits. [default: 10; x>=1]",
        "(maximal marginal relevance). [default: 0.0; 0.0<=x<=1.0]",
        "such as fp32 or int8. [default: auto]",
    ):
        assert part in words


def test_what_comes_from_a_store_cannot_steer_the_terminal(run, bundle, folder):
    (folder / "d.jsonl").write_text(
        json.dumps({"id": "a\x1b[2J", "text": "x\x1b]0;title\x07\u202e\nsecond line " * 50})
    )
    run("ingest", bundle, "d.jsonl", *STORE)
    out = run("search", bundle, "x", *STORE)[1]
    assert len(out.splitlines()) == 2
    assert not set(out) & set("\x1b\x07\u202e")
    assert max(len(line) for line in out.splitlines()) < 170


def test_an_error_shows_where_it_came_from_when_asked(monkeypatch):
    monkeypatch.setenv("EMBEDKIT_DEBUG", "1")
    monkeypatch.setattr(sys, "argv", ["embedkit", "inspect", "nowhere"])
    with pytest.raises(embedkit.BundleError):
        cli.main()


def test_a_reader_that_goes_away_is_no_crash(bundle, folder):
    (folder / "texts.txt").write_text("text\n" * 20_000)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "embedkit", "encode", str(bundle), "--input", "texts.txt"]
    process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == b""
    assert process.wait() != 0
