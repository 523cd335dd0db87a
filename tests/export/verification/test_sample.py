"""A user's sample in each of its forms: what is read, what is left out and counted, what is refused and where."""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedkit import InputError
from embedkit.evaluation import Retrieval
from embedkit.ingestion.readers.docstrings import standard_library
from embedkit_export.verification.sample import RESERVED, Pair, Sample, read
from helpers.texts import mixed


def lines(*records: Any) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


def written(tmp_path: Path, name: str, content: str | bytes) -> Path:
    data = content.encode() if isinstance(content, str) else content
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return path


def beir(folder: Path, corpus: str, queries: str, qrels: str, *, names: tuple[str, str, str]) -> Path:
    for name, content in zip(names, (corpus, queries, qrels), strict=True):
        written(folder, name, content)
    return folder


def by_digest(texts: list[str]) -> tuple[str, ...]:
    return tuple(sorted(texts, key=lambda text: hashlib.sha256(text.encode()).digest()))


# Texts


def test_the_default_is_the_standard_librarys_docstrings(monkeypatch: pytest.MonkeyPatch) -> None:
    documents = list(standard_library())
    monkeypatch.setattr("embedkit.ingestion.readers.docstrings.standard_library", lambda: documents)
    sample = read(None)
    assert sample.name == "docstrings of Python's standard library"
    assert sample.texts == by_digest(list({document.text for document in documents}))
    assert len(sample.texts) > 1000
    assert (len(sample.calibration()), len(sample.judged())) == (200, 300)
    assert sample == Sample(sample.name, sample.texts)
    fields = read(None, fields=("title", "text")).texts[0]
    assert isinstance(fields, dict)
    assert fields["text"].startswith(fields["title"].partition("#")[0])


@pytest.mark.parametrize("name", ["a.txt", "a", "a.md", "a.txt.gz"])
def test_plain_text(tmp_path: Path, name: str) -> None:
    sample = read(written(tmp_path, name, "\ufeffone\r\n\n  \ntwo \u2028 lines\n{}\none\n"))
    assert sample == Sample(
        name,
        by_digest(["one", "two \u2028 lines", "{}"]),
        notes=("blank texts left out: 2", "repeated texts left out: 1"),
    )


@pytest.mark.parametrize("name", ["a.jsonl", "a.NDJSON", "a.jsonl.gz"])
def test_json_lines(tmp_path: Path, name: str) -> None:
    content = lines({"text": "one", "title": 3}, {"text": "two\nlines"}, {"text": " "}) + "\n"
    sample = read(written(tmp_path, name, content))
    assert sample.texts == by_digest(["one", "two\nlines"])
    assert sample.notes == ("blank texts left out: 1",)


def test_fields_of_a_template_that_reads_several(tmp_path: Path) -> None:
    records = [{"title": "a", "text": "one", "more": 1}, {"title": "", "text": "two"}, {"title": " ", "text": ""}]
    sample = read(written(tmp_path, "a.jsonl", lines(*records)), fields=("title", "text"))
    assert sorted(map(str, sample.texts)) == ["{'title': '', 'text': 'two'}", "{'title': 'a', 'text': 'one'}"]
    path = written(tmp_path, "b.jsonl", lines(*records, {"text": "three"}))
    with pytest.raises(InputError, match=r'b\.jsonl, line 4: expected the field "title"; found text'):
        read(path, fields=("title", "text"))
    assert {"text": "three"} in read(path, fields=("title", "text"), optional=("title",)).texts


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "expected text or .*; found nothing"),
        (lines({"text": "a"}), "at least two different texts; found 1"),
        (lines({"text": "a"}, {"text": "a"}), "at least two different texts; found 1"),
        (lines({"txt": "a"}), r"line 1: expected text or .* or query \+ relevant; found the fields txt"),
        (lines({"text": "a"}, {"txt": "b"}), 'line 2: expected the field "text"; found txt'),
        (lines({"text": "a"}) + "\n{oops\n", "line 3: expected a JSON object; found '{oops'"),
        (lines({"text": "a"}, ["b"]), "line 2: expected a JSON object"),
        (lines({"text": "a"}, {"text": None}), 'line 2, field "text": expected a string, found NoneType'),
        (lines({"text": "a"}, {"text": "\ud800"}), r'line 2, field "text": lone surrogate U\+D800'),
        (lines({"text": "a"}) + "[" * 100_000, "line 2: expected a JSON object"),
        (b'{"text": "a"}\n\xff\xfe\n', "line 2: expected readable UTF-8 text"),
    ],
)
def test_texts_that_cannot_be_used(tmp_path: Path, content: str | bytes, message: str) -> None:
    with pytest.raises(InputError, match=rf"sample .*{message}"):
        read(written(tmp_path, "a.jsonl", content))


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected readable UTF-8 text"):
        read(tmp_path / "missing.txt")
    whole = gzip.compress(b"one\ntwo\n" * 1000)
    for number, data in enumerate((b"not gzip", whole[:-9], whole[:12] + b"\0\0\0" + whole[15:])):
        (tmp_path / f"{number}.txt.gz").write_bytes(data)
        with pytest.raises(InputError, match="expected readable UTF-8 text"):
            read(tmp_path / f"{number}.txt.gz")
    with pytest.raises(InputError, match="limit: expected at least 2, found 1"):
        read(None, limit=1)


def test_calibration_and_judged_texts_are_different_ones(tmp_path: Path) -> None:
    for count in (2, 3, 11, 399, 900):
        sample = read(written(tmp_path, "a.txt", "\n".join(f"text {number}" for number in range(count))))
        for n in (1, 5, 1000):
            calibration, judged = sample.calibration(n), sample.judged(n)
            assert not set(calibration) & set(judged)
            assert len(calibration) == min(n, RESERVED, count // 2)
            assert len(judged) == min(n, count - min(RESERVED, count // 2))
    assert by_digest([*sample.calibration(), *sample.judged(1000)]) == sample.texts


# Pairs

SCORED = [("a b c", "a b d", 4.5), ("a b c", "e f", 0), ("g h", "g h", 5), ("i j k", "i", 2.25), ("l", "m", 0.5)]


def table(path: Path, header: list[str], rows: list[tuple], delimiter: str) -> Path:
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "wt", newline="", encoding="utf-8") as file:
        csv.writer(file, delimiter=delimiter).writerows([header, *rows])
    return path


@pytest.mark.parametrize(
    "name", ["a.jsonl", "a.jsonl.gz", "a.tsv", "a.tsv.gz", "a.csv", "a.csv.gz"], ids=lambda name: name[2:]
)
@pytest.mark.parametrize("names", [("text1", "text2"), ("sentence1", "sentence2")], ids=["text", "sentence"])
def test_pairs(tmp_path: Path, name: str, names: tuple[str, str]) -> None:
    header = ["id", *names, "score"]
    rows = [(number, *row) for number, row in enumerate(SCORED)]
    if "jsonl" in name:
        path = written(tmp_path, name, lines(*(dict(zip(header, row, strict=True)) for row in rows)))
    else:
        path = table(tmp_path / name, header, rows, "\t" if "tsv" in name else ",")
    sample = read(path)
    assert set(sample.pairs) == {Pair(a, b, float(score)) for a, b, score in SCORED}
    assert set(sample.texts) == {text for a, b, _ in SCORED for text in (a, b)}
    assert not sample.notes


def test_a_table_is_quoted_with_commas_and_plain_with_tabs(tmp_path: Path) -> None:
    commas = 'sentence1,sentence2,score\n"say ""a, b""","two\nlines",1\nc,d,2\n'
    assert Pair('say "a, b"', "two\nlines", 1.0) in read(written(tmp_path, "a.csv", commas)).pairs
    tabs = 'sentence1\tsentence2\tscore\n"a" or b\ta "b\t1\nc\td\t2\n'
    assert Pair('"a" or b', 'a "b', 1.0) in read(written(tmp_path, "a.tsv", tabs)).pairs
    texts = "label\ttext\n0\tone\n1\ttwo\n"
    assert read(written(tmp_path, "b.tsv", texts)).texts == by_digest(["one", "two"])


def test_pairs_left_out_and_kept(tmp_path: Path) -> None:
    records = [{"text1": a, "text2": b, "score": s} for a, b, s in [*SCORED, SCORED[0], ("a", " ", 1), ("", "b", 1)]]
    sample = read(written(tmp_path, "a.jsonl", lines(*records)))
    assert len(sample.pairs) == len(SCORED) + 1  # a repeated pair weighs more
    assert sample.notes == ("pairs with a blank text left out: 2",)
    few = read(written(tmp_path, "a.jsonl", lines(*records)), limit=3)
    assert few.pairs == sample.pairs[:3]
    assert "pairs beyond the limit left out: 3" in few.notes


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "a.tsv",
            "A plane\tA plane\t5.0\nb\tc\t1\n",
            "line 1: expected a header with different names; found A plane, A plane, 5.0",
        ),
        ("a.tsv", "text1\ttext2\tscore\na\tb\n", "line 2: expected 3 columns as in the header; found 2"),
        ("a.tsv", "text1\ttext2\tscore\n", "found nothing"),
        (
            "a.tsv",
            "text1\ttext2\tscore\na\tb\t1\nc\td\thigh\n",
            'line 3: expected a finite number in "score"; found .high.',
        ),
        ("a.csv", 'text1,text2,score\n"a"x,b,1\n', "line 2: expected a row of a table"),
        (
            "a.jsonl",
            lines({"text1": "a", "text2": "b", "score": 1}, {"text1": "a"}),
            'line 2: expected the field "text2"',
        ),
        (
            "a.jsonl",
            lines({"text1": "a", "text2": "b", "score": float("nan")}),
            "line 1: expected a finite number .* nan",
        ),
        ("a.jsonl", lines({"text1": "a", "text2": "b", "score": True}), "line 1: expected a finite number .* True"),
        ("a.jsonl", lines({"text1": "a", "text2": "b", "score": 10**400}), "line 1: expected a finite number"),
        ("a.jsonl", lines({"text1": "a", "text2": 1, "score": 1}), 'line 1, field "text2": expected a string'),
        (
            "a.jsonl",
            lines(*[{"text1": x, "text2": "b", "score": 3} for x in "ac"]),
            "found the score 3 only: rank corr",
        ),
        ("a.jsonl", lines({"text1": "", "text2": "b", "score": 3}), "pairs with different scores; found none"),
    ],
)
def test_pairs_that_cannot_be_used(tmp_path: Path, name: str, content: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(written(tmp_path, name, content))


# Searches


def test_searches(tmp_path: Path) -> None:
    records = [
        {"query": "q1", "relevant": ["d1", {"text": "d2", "grade": 2}], "irrelevant": ["d3"]},
        {"query": "q2", "relevant": ["d3", {"text": "d4", "grade": 0}, " "]},
        {"query": "q1", "relevant": [{"text": "d1", "grade": 3}, {"text": "d2"}, "d5", "d1"]},
        {"query": "q3", "relevant": [], "irrelevant": [{"text": "d6"}]},
        {"query": " ", "relevant": ["d7"]},
    ]
    sample = read(written(tmp_path, "a.jsonl", lines(*records)))
    assert sample.documents == by_digest([f"d{number}" for number in range(1, 8)])
    found = {query.text: {sample.documents[d]: g for d, g in query.relevant.items()} for query in sample.queries}
    assert found == {"q1": {"d1": 3, "d2": 2, "d5": 1}, "q2": {"d3": 1}}
    assert sample.texts == by_digest([*sample.documents, "q1", "q2"])
    assert sample.notes == (
        "blank documents left out: 1",
        "blank queries left out: 1",
        "queries without a relevant document left out: 1",
        "repeated queries joined: 1",
    )


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"query": "q", "relevant": "d"}, 'line 2: expected a list of documents in "relevant"; found str'),
        ({"query": "q"}, 'line 2: expected a list of documents in "relevant"; found NoneType'),
        ({"relevant": ["d"]}, 'line 2: expected the field "query"; found relevant'),
        ({"query": "q", "relevant": [3]}, 'line 2, field "relevant": expected a string'),
        ({"query": "q", "relevant": [{"grade": 1}]}, 'line 2: expected the field "text"; found grade'),
        ({"query": "q", "relevant": [{"text": "d", "grade": None}]}, 'line 2: expected a finite number in "grade"'),
        ({"query": "q", "relevant": [{"text": "d", "grade": 0.5}]}, "line 2: expected a whole number as grade"),
        ({"query": "q", "relevant": ["d"], "irrelevant": ["e", "d"]}, "line 2: expected a document to be .* both: 'd'"),
    ],
)
def test_searches_that_cannot_be_used(tmp_path: Path, record: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(written(tmp_path, "a.jsonl", lines({"query": "p", "relevant": ["c"]}, record)))


def test_no_search_with_a_relevant_document(tmp_path: Path) -> None:
    content = lines({"query": "q", "relevant": [], "irrelevant": ["d"]})
    with pytest.raises(InputError, match="expected queries with relevant documents; found none for any"):
        read(written(tmp_path, "a.jsonl", content))


NAMES = [
    ("corpus.jsonl", "queries.jsonl", "qrels/test.tsv"),
    ("docs.jsonl.gz", "queries.jsonl.gz", "qrels.tsv"),
    ("corpus.jsonl.gz", "queries.jsonl", "qrels.tsv.gz"),
]
CORPUS = lines(
    {"_id": "1", "title": "A title", "text": "and text"},
    {"_id": "2", "title": "", "text": "no title"},
    {"_id": 3, "title": None, "text": "no title"},
    {"_id": "4", "text": "other"},
    {"_id": "5", "text": "  "},
)
QUERIES = lines({"_id": "a", "text": "first"}, {"_id": "b", "text": "second"}, {"_id": "c", "text": "unjudged"})


@pytest.mark.parametrize("names", NAMES, ids=str)
@pytest.mark.parametrize("header", ["query-id\tcorpus-id\tscore", "query_id\tdoc_id\trelevance"])
def test_a_folder_in_the_form_of_beir(tmp_path: Path, names: tuple[str, str, str], header: str) -> None:
    qrels = f"{header}\na\t1\t2\na\t4\t0\nb\t2\t1\nb\t3\t3\nb\t5\t1\nb\t9\t1\nz\t1\t1\n"
    ids = str.maketrans({"_": None}) if names[0].startswith("docs") else {}
    sample = read(beir(tmp_path / "set", CORPUS.translate(ids), QUERIES, qrels, names=names))
    assert sample.name == "set"
    assert sample.documents == by_digest(["A title and text", "no title", "other"])
    found = {query.text: {sample.documents[d]: g for d, g in query.relevant.items()} for query in sample.queries}
    assert found == {"first": {"A title and text": 2}, "second": {"no title": 3}}
    assert sample.notes == (
        "blank documents left out: 1",
        "queries without a relevant document left out: 1",
        "relevances of unknown or blank queries or documents left out: 3",
        "repeated documents joined: 1",
    )


@pytest.mark.parametrize(
    ("corpus", "queries", "qrels", "message"),
    [
        (CORPUS + lines({"_id": "3", "text": "again"}), QUERIES, "", r'corpus\.jsonl, line 6: expected a new "_id"'),
        (CORPUS + lines({"text": "no id"}), QUERIES, "", r"corpus\.jsonl, line 6: .* found None"),
        (CORPUS, lines({"_id": "a", "txt": "q"}), "", r'queries\.jsonl, line 1: expected the field "text"'),
        (
            CORPUS,
            QUERIES,
            "a\t1\nb\t2\n",
            r"test\.tsv, line 1: expected query-id, corpus-id, score or .* without a header; found 2 columns: 'a, 1'",
        ),
        (
            CORPUS,
            QUERIES,
            "query-id\tcorpus-id\tscore\na\t1\tx\n",
            r'test\.tsv, line 2: expected a finite number in "score"',
        ),
        (CORPUS, QUERIES, "a\t1\t0.5\n", r"line 1: expected a whole number as grade, at most 10,000; found '0\.5'"),
        (CORPUS, QUERIES, "query-id\tcorpus-id\tscore\na\t1\t0\n", "found none for any"),
    ],
)
def test_folders_that_cannot_be_used(tmp_path: Path, corpus: str, queries: str, qrels: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(beir(tmp_path, corpus, queries, qrels, names=NAMES[0]))


def test_a_folder_is_judged_as_embedkit_eval_does(tmp_path: Path) -> None:
    """By its header, without one, or with the columns of TREC: the same judgements."""
    corpus = lines(*({"_id": str(n), "text": f"d{n}"} for n in range(5)))
    for number, qrels in enumerate(
        ("a\t1\t2\nb\t3\t1\n", "a 0 1 2\nb 0 3 1\n", "score\tquery-id\tcorpus-id\n2\ta\t1\n1\tb\t3\n")
    ):
        folder = tmp_path / str(number)
        sample, task = read(beir(folder, corpus, QUERIES, qrels, names=NAMES[0])), Retrieval.read(folder)
        texts = list(task.documents())
        own = {q.text: {sample.documents[d]: grade for d, grade in q.relevant.items()} for q in sample.queries}
        assert own == {
            query: {texts[d]: grade for d, grade in found.items()}
            for query, found in zip(task.queries, task.relevant, strict=True)
        }


def test_a_folder_without_a_file_that_is_needed(tmp_path: Path) -> None:
    for name, message in (
        ("corpus.jsonl", r"a file corpus\.jsonl or docs\.jsonl"),
        ("queries.jsonl", r"a file queries\.jsonl"),
        ("qrels.tsv", r"a file qrels\.tsv or qrels/test\.tsv"),
    ):
        with pytest.raises(InputError, match=message):
            read(tmp_path)
        written(tmp_path, name, CORPUS)


def test_the_limit_keeps_the_relevant_documents(tmp_path: Path) -> None:
    records = [
        {"query": f"q{n}", "relevant": [f"d{n}", f"d{n + 1}"], "irrelevant": [f"x{n}", f"y{n}"]} for n in range(50)
    ]
    path = written(tmp_path, "a.jsonl", lines(*records))
    whole = read(path, limit=None)
    assert (len(whole.queries), len(whole.documents)) == (50, 151)
    assert read(path, limit=151) == whole
    cut = read(path, limit=40)
    assert len(cut.documents) == 40
    assert 7 <= len(cut.queries) <= 20
    assert [query.text for query in cut.queries] == [query.text for query in whole.queries[: len(cut.queries)]]
    everything = {query.text: {whole.documents[d] for d in query.relevant} for query in whole.queries}
    for query in cut.queries:
        assert {cut.documents[d] for d in query.relevant} == everything[query.text]
    relevant = {d for query in cut.queries for d in query.relevant}
    assert len(relevant) <= 20
    assert f"documents beyond the limit left out: {151 - 40}" in cut.notes
    assert f"queries beyond the limit left out: {50 - len(cut.queries)}" in cut.notes
    with pytest.raises(InputError, match="found 2 for one; raise the limit of 2"):
        read(path, limit=2)


# The whole


@given(st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=10)
def test_the_order_of_a_file_changes_nothing(tmp_path_factory: pytest.TempPathFactory, shuffle: random.Random) -> None:
    folder = tmp_path_factory.mktemp("order")
    plain = [{"text": text} for text in (*mixed(30, longest=9, seed=2), "again", "again")]
    pairs = [{"text1": a, "text2": b, "score": score} for a, b, score in SCORED]
    searches = [
        {"query": f"q{n % 7}", "relevant": [{"text": f"d{n}", "grade": n % 3 + 1}], "irrelevant": [f"x{n}"]}
        for n in range(12)
    ]
    for records in (plain, pairs, searches):
        first = read(written(folder, "a.jsonl", lines(*records)), limit=14)
        other = list(records)
        shuffle.shuffle(other)
        assert read(written(folder, "a.jsonl", lines(*other)), limit=14) == first


def test_labels_are_of_no_use_to_a_template_with_fields(tmp_path: Path) -> None:
    pairs = written(tmp_path, "a.jsonl", lines({"text1": "a", "text2": "b", "score": 1}))
    with pytest.raises(InputError, match=r"expected JSON lines with the fields title, text, .* found pairs"):
        read(pairs, fields=("title", "text"))
    with pytest.raises(InputError, match="found searches"):
        read(tmp_path, fields=("title", "text"))
    with pytest.raises(InputError, match=r"a\.txt, line 1: expected title \+ text or"):
        read(written(tmp_path, "a.txt", "one\ntwo\n"), fields=("title", "text"))
