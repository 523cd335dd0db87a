"""``embedkit search`` by words too, and with a reranker."""

from __future__ import annotations

import json
import sys

import pytest

pytest.importorskip("bm25s")

import embedkit
from embedkit.cli import entry as cli
from embedkit.retrieval.lexical import LexicalIndex
from helpers.hits import VERBATIM
from helpers.reranking import Overlap


@pytest.fixture
def run(capsys, monkeypatch, tmp_path, entry_points):
    """Calls the command in a folder with a filled store; its exit code, stdout and stderr."""
    pytest.importorskip("sqlite_vec")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EMBEDKIT_CACHE", str(tmp_path / "cache"))

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["embedkit", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        captured = capsys.readouterr()
        return ended.value.code or 0, captured.out, captured.err

    return call


STORE = ["--store", "sqlite-vec:index.db", "--collection", "docs"]


def fill(run, bundle, tmp_path, texts):
    (tmp_path / "docs.jsonl").write_text(
        "".join(json.dumps({"id": str(i), "text": text}) + "\n" for i, text in enumerate(texts))
    )
    assert run("ingest", bundle, "docs.jsonl", *STORE, "--quiet")[0] == 0


def answer(result):
    code, out, err = result
    assert code == 0, err
    return json.loads(out)["hits"]


def test_the_command_searches_by_words_too(run, bundle, tmp_path):
    fill(run, bundle, tmp_path, VERBATIM)
    query = ["search", bundle, "日本語", *STORE, "--json"]
    plain = answer(run(*query))
    assert all("parts" not in hit for hit in plain)
    hits = answer(run(*query, "--hybrid", "rrf"))
    assert [hit["text"] for hit in hits] == [VERBATIM[int(hit["id"])] for hit in hits]
    assert hits[0]["id"] == "3"
    assert set(hits[0]["parts"]) == {"dense", "lexical"}
    minmax = answer(run(*query, "--hybrid", "minmax"))
    assert minmax != hits
    assert answer(run(*query, "--hybrid")) == minmax
    assert answer(run("search", bundle, "--hybrid", "日本語", *STORE, "--json")) == minmax
    assert answer(run("search", "--hybrid", bundle, "日本語", *STORE, "--json")) == minmax
    (kept,) = (tmp_path / "cache" / "lexical").iterdir()
    assert answer(run(*query, "--hybrid", "rrf", "--lexical", "words")) == hits
    assert (tmp_path / "words" / "lexical.json").is_file()
    weighed = answer(run(*query, "--hybrid", "minmax", "--weight", "dense=0"))
    assert [(hit["id"], set(hit["parts"])) for hit in weighed] == [("3", {"lexical"})]
    assert "one ranking cannot be fused" in run(*query, "--hybrid", "minmax", "--weight", "lexical=0")[2]
    answer(run(*query, "--hybrid", "dbsf", "--language", "english"))
    assert LexicalIndex.load(kept).language == "english"
    assert run("search", bundle, "tea", *STORE, "--hybrid", "rrf")[1].startswith("  1.  0.0")


def test_the_command_reads_the_words_again_when_the_collection_changed(run, bundle, tmp_path):
    texts = [f"tea {i}" for i in range(9)]
    fill(run, bundle, tmp_path, texts)
    query = ["search", bundle, "tea 3", *STORE, "--json", "--hybrid", "minmax"]
    assert len(answer(run(*query))) == 9
    fill(run, bundle, tmp_path, [*texts, "tea 9"])
    assert len(answer(run(*query))) == 10
    fill(run, bundle, tmp_path, [*texts, "coffee 3"])
    code, out, err = run(*query)
    assert (code, err) == (0, "the collection has changed since its words were read; reading them again\n")
    assert "coffee 3" in out
    assert run(*query)[2] == ""
    (tmp_path / "questions.txt").write_text("tea 1\ncoffee\n")
    lines = run("search", bundle, "--input", "questions.txt", *STORE, "--hybrid", "minmax", "--reindex")[1].splitlines()
    assert [json.loads(line)["hits"][0]["text"] for line in lines] == ["tea 1", "coffee 3"]


def test_the_command_reranks(run, bundle, tmp_path, monkeypatch):
    class Reranker(Overlap):
        @classmethod
        def load(cls, path, **options):
            assert path == "cross"
            assert options == {"device": "cpu", "threads": 1, "variant": "fp32", "engine": "onnxruntime"}
            return cls()

    monkeypatch.setattr(embedkit, "Reranker", Reranker, raising=False)
    fill(run, bundle, tmp_path, ["abc", "abcd", "xyz"])
    query = ["search", bundle, "xyz", *STORE, "--json", "--device", "cpu", "--threads", 1, "--rerank", "cross"]
    query += ["--variant", "fp32", "--engine", "onnxruntime"]
    hits = answer(run(*query))
    assert [(hit["text"], hit["score"]) for hit in hits] == [("xyz", 1.0), ("abc", 0.0), ("abcd", 0.0)]
    assert all(set(hit["parts"]) == {"dense"} for hit in hits)
    assert len(answer(run(*query, "-k", 1, "--rerank-top", 2))) == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--language", "english"], "give --hybrid with"),
        (["--lexical", "words"], "give --hybrid with"),
        (["--reindex"], "give --hybrid with"),
        (["--rerank-top", "3"], "give --rerank with --rerank-top"),
        (["--hybrid", "rrf", "--weight", "lexical"], "expected NAME=NUMBER, as lexical=0.5"),
        (["--hybrid=mean"], "'mean' is not one of 'minmax', 'dbsf', 'rrf'"),
        (["--hybrid", "mean"], "unexpected extra argument (mean)"),
    ],
)
def test_options_that_do_not_fit(run, options, said):
    code, _, err = run("search", "bundle", "x", *STORE, *options)
    assert code == 2
    assert said in " ".join(err.split())


def test_mistakes_are_errors_of_one_line(run, bundle, tmp_path):
    fill(run, bundle, tmp_path, ["a"])
    for options, said in (
        (["--weight", "words=1"], "expected the names dense, lexical, found 'words'"),
        (["--language", "klingon"], "stems of 'klingon'"),
        (["--lexical", "."], "expected a folder that is empty, or holds a lexical index"),
    ):
        code, _, err = run("search", bundle, "x", *STORE, "--hybrid", "rrf", *options)
        assert code == 1
        assert err.startswith("error: ")
        assert said in err
