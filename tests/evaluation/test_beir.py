"""Folders in the form of BEIR."""

from __future__ import annotations

import gzip
import json

import pytest

from embedkit.errors import InputError
from embedkit.evaluation.beir import Files, entries, judgements


def test_files_by_their_names(tmp_path):
    for name in ("docs.jsonl.gz", "queries.jsonl", "qrels/dev.tsv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    assert Files.of(tmp_path, "dev") == Files(
        *(tmp_path / n for n in ("docs.jsonl.gz", "queries.jsonl", "qrels/dev.tsv"))
    )
    (tmp_path / "corpus.jsonl").write_bytes(b"")
    assert Files.of(tmp_path, "dev").corpus == tmp_path / "corpus.jsonl"
    with pytest.raises(
        InputError, match=r"expected a file qrels\.tsv or qrels/test\.tsv \(or with \.gz\) in this folder"
    ):
        Files.of(tmp_path)


def test_entries(tmp_path):
    path = tmp_path / "corpus.jsonl.gz"
    rows = [{"_id": "a", "title": "T", "text": "x"}, {"id": 7, "text": "y", "title": ""}, {"_id": "b", "text": " "}]
    path.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode()))
    assert list(entries(path)) == [("a", "T x"), ("7", "y"), ("b", " ")]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"_id": "1", "text": "a"}, {"_id": 1, "text": "b"}], 'line 2: expected a new "_id" or "id".*found 1'),
        ([{"_id": None, "text": "a"}], "line 1: .*found None"),
        ([{"_id": "1", "text": "a", "title": 3}], 'line 1, field "title": expected a string'),
        ([{"_id": "1"}], 'line 1: expected the field "text"; found _id'),
    ],
)
def test_hostile_entries(tmp_path, rows, message):
    path = tmp_path / "queries.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(InputError, match=message):
        list(entries(path))


@pytest.mark.parametrize(
    "lines",
    [
        "q\td\t2\nr\te\t-1\n",
        "q d 2\nr e -1\n",
        "q\t0\td\t2\nr\t0\te\t-1.0\n",
        "Score\tQuery_ID\tcorpus-id\tmore\n2\tq\td\tx\n-1\tr\te\ty\n",
        "query-id\tdoc-id\trelevance\n\nq\td\t2\nr\te\t-1\n",
    ],
)
def test_judgements(tmp_path, lines):
    path = tmp_path / "qrels.tsv"
    path.write_text(lines)
    assert [judged[1:] for judged in judgements(path)] == [("q", "d", 2), ("r", "e", -1)]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("q\td\n", r"line 1: expected query-id, corpus-id, score or .*found 2 columns: 'q, d'"),
        ("q\td\t1\nq\td\n", "line 2: expected 3 columns as in the first line; found 2"),
        ("query-id\tcorpus-id\tscore\nq\td\thigh\n", 'line 2: expected a finite number in "score"; found .high.'),
        ("q\td\t1e9\n", "line 1: expected a whole number as grade, at most 10,000; found '1e9'"),
    ],
)
def test_hostile_judgements(tmp_path, lines, message):
    path = tmp_path / "qrels.tsv"
    path.write_text(lines)
    with pytest.raises(InputError, match=message):
        list(judgements(path))
