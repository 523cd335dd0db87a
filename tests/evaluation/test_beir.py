"""Folders in the form of BEIR."""

from __future__ import annotations

import gzip
import json

import pytest

from embedkit.errors import InputError
from embedkit.evaluation.beir import Files, entries, judgements
from helpers.web import web


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


@pytest.fixture
def site(tmp_path):
    pytest.importorskip("fsspec")
    pytest.importorskip("aiohttp")
    folder = tmp_path / "site" / "set"
    (folder / "qrels").mkdir(parents=True)
    (folder / "corpus.jsonl.gz").write_bytes(gzip.compress(b'{"_id": "a", "title": "T", "text": "x"}\n'))
    (folder / "queries.jsonl").write_text('{"_id": "q", "text": "x"}\n')
    (folder / "qrels" / "test.tsv").write_text("q\ta\t1\n")
    with web(tmp_path / "site") as server:
        yield server


# A store of files on the web answers 403 for a missing one where nobody may list them.
@pytest.mark.parametrize("status", [404, 403])
def test_files_at_an_address(site, status):
    site.status = status
    url = f"{site.url}/set"
    files = Files.of(f"{url}/")
    assert files == Files(f"{url}/corpus.jsonl.gz", f"{url}/queries.jsonl", f"{url}/qrels/test.tsv")
    assert list(entries(files.corpus)) == [("a", "T x")]
    assert list(entries(files.queries)) == [("q", "x")]
    assert list(judgements(files.judgements)) == [(f"sample {url}/qrels/test.tsv, line 1", "q", "a", 1)]


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (
            404,
            r"set: expected a file qrels\.tsv or qrels/dev\.tsv \(or with \.gz\) in this folder; found none; correct the address",
        ),
        (403, "set: expected a file qrels.*403.*set the credentials of a private place in the environment"),
        (503, "set: expected a file qrels.*503.*run again when it answers"),
    ],
)
def test_files_that_an_address_lacks(site, status, message):
    (site.folder / "set" / "corpus.jsonl").write_text("")
    site.status = status
    with pytest.raises(InputError, match=message):
        Files.of(f"{site.url}/set", "dev")


def test_an_address_of_no_folder(site):
    with pytest.raises(InputError, match="folder in which the files of the data set are") as refused:
        Files.of(f"{site.url}/set?key=secret")
    assert "secret" not in str(refused.value)
    with pytest.raises(InputError, match="s3://, gs://"):
        Files.of("ftp://host/set")
    with pytest.raises(InputError, match="Connect.*run again when it answers"):
        Files.of("http://127.0.0.1:9/set")


def test_a_file_that_is_cut_on_its_way(site):
    files = Files.of(f"{site.url}/set")
    site.cut = lambda name: 5 if name.endswith("queries.jsonl") else None
    with pytest.raises(InputError, match=r"sample .*/set/queries\.jsonl: expected readable.*run again when it answers"):
        list(entries(files.queries))
