"""The command ``embedkit``: its errors and exit codes."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytest.importorskip("chromadb")

import embedkit
from embedkit.cli import entry as cli
from helpers.commands import STORE, error


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
    assert (
        "chroma, duckdb, elasticsearch, lancedb, memory, milvus, opensearch, pgvector, qdrant, qdrant-edge" in unknown
    )
    assert "redis, sqlite-vec, valkey" in unknown
    assert "no store at 'chroma:index': index is not there" in error(
        run("search", bundle, "q", "--store", "chroma:index", "--collection", "books")
    )
    (folder / "index").mkdir()
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


@pytest.mark.skipif(os.name != "posix", reason="words are Unicode elsewhere")
def test_a_locale_that_knows_ascii_alone(tmp_path):
    ascii_alone = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    command = [sys.executable, "-c", "from embedkit.cli.entry import main; main()", "inspect", os.fsencode("\u00e9")]
    done = subprocess.run(command, cwd=tmp_path, env=ascii_alone, capture_output=True, check=False)
    assert (done.returncode, done.stderr.decode("utf-8").split(",")[0]) == (
        1,
        "error: \u00e9: expected a bundle folder",
    )
