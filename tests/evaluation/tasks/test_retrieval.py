"""Search over a corpus: hand-computed measures, brute force, the export's own formulas, and folders as they come."""

from __future__ import annotations

import gzip
import json
import math

import numpy as np
import pytest

from embedkit.errors import InputError
from embedkit.evaluation import Retrieval, evaluate
from embedkit.vectors.geometry import BLOCK
from helpers.measured import Written, angle

pytest.importorskip("pytrec_eval")


def values(task, encoder):
    estimates = evaluate(task, {"one": encoder}, resamples=0).results[0].estimates
    return {name: estimate.value for name, estimate in estimates.items()}


def test_by_hand():
    # The ranking of the first query is d0 d1 d2 d3, of the second d3 d2 d1 d0.
    encoder = Written({"q0": angle(0), "q1": angle(90), **{f"d{i}": angle(10 + 20 * i) for i in range(4)}})
    documents = [f"d{i}" for i in range(4)]
    task = Retrieval("here", ("q0", "q1"), ({1: 3, 3: 1}, {3: 1}), lambda: documents, 4)
    found = values(task, encoder)
    gain = (3 / math.log2(3) + 1 / math.log2(5)) / (3 / math.log2(2) + 1 / math.log2(3))
    assert found == pytest.approx(
        {
            "ndcg@10": (gain + 1) / 2,
            "recall@10": 1.0,
            "recall@100": 1.0,
            "mrr@10": (1 / 2 + 1) / 2,
            "precision@10": (0.2 + 0.1) / 2,
            "map@1000": ((1 / 2 + 2 / 4) / 2 + 1) / 2,
        },
        abs=1e-6,
    )
    assert encoder.asked == ["query", "document"]


def drawn(seed, *, queries=30, documents=2_300, dim=4):
    """Vectors with few different numbers, so that many scores tie."""
    rng = np.random.default_rng(seed)
    asked = {f"q{i}": rng.integers(-2, 3, dim) + 0.5 for i in range(queries)}
    corpus = {f"d{i}": rng.integers(-2, 3, dim) + 0.5 for i in range(documents)}
    relevant = tuple(
        {int(d): int(rng.integers(1, 4)) for d in rng.choice(documents, rng.integers(1, 30))} for _ in asked
    )
    return asked, corpus, relevant


@pytest.mark.parametrize("fn", ["cosine", "dot", "euclidean"])
@pytest.mark.parametrize("window", [7, 2_300])
def test_the_ranking_is_that_of_brute_force(fn, window):
    asked, corpus, relevant = drawn(1)
    task = Retrieval("here", tuple(asked), relevant, lambda: corpus, len(corpus), similarity=fn)
    order = task.ranking(Written({**asked, **corpus}, window=window))
    documents = np.stack(list(corpus.values()))
    for query, found in zip(asked.values(), order):
        scores = -np.linalg.norm(documents - query, axis=1) if fn == "euclidean" else documents @ query
        if fn == "cosine":
            scores = scores / np.linalg.norm(documents, axis=1) / np.linalg.norm(query)
        best = sorted(range(len(documents)), key=lambda d: (-np.float32(scores[d]), d))[:1_000]
        # Cosines of parallel vectors are equal but for their last bit.
        assert scores[found] == pytest.approx(scores[best], abs=1e-6)
        if fn == "dot":
            assert found.tolist() == best


def test_like_the_formulas():
    asked, corpus, relevant = drawn(2)
    task = Retrieval("here", tuple(asked), relevant, lambda: corpus, len(corpus), similarity="dot")
    found = values(task, Written({**asked, **corpus}, window=600))
    scores = np.stack(list(asked.values())) @ np.stack(list(corpus.values())).T
    order = np.argsort(-scores, axis=1, kind="stable")[:, :1_000].tolist()
    expected = dict.fromkeys(found, 0.0)
    for row, grades in zip(order, relevant):
        hits = [d in grades for d in row]
        ideal = sum(g / math.log2(i + 2) for i, g in enumerate(sorted(grades.values(), reverse=True)[:10]))
        expected["ndcg@10"] += sum(grades.get(d, 0) / math.log2(i + 2) for i, d in enumerate(row[:10])) / ideal
        expected["recall@10"] += sum(hits[:10]) / len(grades)
        expected["recall@100"] += sum(hits[:100]) / len(grades)
        expected["precision@10"] += sum(hits[:10]) / 10
        expected["mrr@10"] += max([0.0, *(1 / (i + 1) for i in range(10) if hits[i])])
        expected["map@1000"] += sum(sum(hits[: i + 1]) / (i + 1) for i in range(1_000) if hits[i]) / len(grades)
    assert found == pytest.approx({name: total / len(order) for name, total in expected.items()}, abs=1e-6)


def test_many_queries_are_taken_in_blocks():
    asked, corpus, _ = drawn(5, queries=BLOCK + 9, documents=20)
    own = tuple(i % 20 if i % 2 else -1 for i in range(len(asked)))
    relevant = tuple({i % 19: 1} for i in range(len(asked)))
    task = Retrieval("here", tuple(asked), relevant, lambda: corpus, 20, own, "dot")
    order = task.ranking(Written({**asked, **corpus}), depth=20)
    documents = np.stack(list(corpus.values()))
    for query, left_out, found in zip(asked.values(), own, order):
        best = [d for d in np.argsort(-(documents @ query), kind="stable").tolist() if d != left_out]
        assert found.tolist() == best


@pytest.fixture
def folder(tmp_path):
    def write(corpus="corpus.jsonl", queries="queries.jsonl", qrels="qrels.tsv", lines="", key="_id"):
        documents = [{key: f"d{i}", "title": "", "text": f"text {i}"} for i in range(3)] + [
            {key: 7, "title": "Title", "text": "and text"}
        ]
        asked = [{key: "q1", "text": "one"}, {key: "q2", "text": "two"}]
        for name, rows in ((corpus, documents), (queries, asked)):
            content = "".join(json.dumps(row) + "\n" for row in rows).encode()
            (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
        (tmp_path / qrels).parent.mkdir(exist_ok=True)
        (tmp_path / qrels).write_text(lines)
        return tmp_path

    return write


@pytest.mark.parametrize(
    "lines",
    [
        "query-id\tcorpus-id\tscore\nq1\td1\t1\nq1\t7\t2\n",
        "query_id\tdoc_id\trelevance\nq1\td1\t1\nq1\t7\t2\n",
        "relevance\tquery_id\tdoc_id\n1\tq1\td1\n2\tq1\t7\n",
        "q1\td1\t1\nq1\t7\t2\n",
        "q1\t0\td1\t1\nq1\t0\t7\t2.0\n",
        "q1 0 d1 1\nq1 0 7 2\n",
        "q1\td1\t1\r\nq1\t7\t1\r\nq1\t7\t2\r\nq1\t7\t0\r\nq1\td2\t-1\r\nq2\td0\t0\r\n",
    ],
)
def test_judgements(folder, lines):
    task = Retrieval.read(folder(lines=lines))
    assert task.queries == ("one",)
    assert task.relevant == ({1: 1, 3: 2},)
    assert list(task.documents()) == list(task.documents()) == ["text 0", "text 1", "text 2", "Title and text"]
    assert task.notes == ("queries without a relevant document left out: 1",)
    assert task.size == {"queries": 1, "documents": 4}


def test_names_of_files(folder):
    path = folder("docs.jsonl.gz", "queries.jsonl.gz", "qrels/dev.tsv", "q1\td1\t1\nq2\td0\t1\n", key="id")
    task = Retrieval.read(path, split="dev")
    assert (task.queries, task.notes) == (("one", "two"), ())
    with pytest.raises(InputError, match=r"expected a file qrels.tsv or qrels/test.tsv .* in this folder; found none"):
        Retrieval.read(path)
    with pytest.raises(InputError, match="expected a folder .*, found a file"):
        Retrieval.read(path / "docs.jsonl.gz")
    with pytest.raises(InputError, match="found nothing"):
        Retrieval.read(path / "none")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            "q1\td9\t1\n",
            "line 1: expected a document that is in the folder; found the unknown id 'd9'; give the documents",
        ),
        ("q1\td1\t1\nq3\td1\t1\n", "line 2: expected a query that is in the folder; found the unknown id 'q3'"),
        ("q1\td1\t0\nq2\td1\t-2\n", "expected judgements with a grade over 0, found none of 2"),
        ("", "found none of 0"),
        ("q1\td1\n", "expected query-id, corpus-id, score or .*; found 2 columns"),
        ("query\tdocument\tgrade\nq1\td1\t1\n", "found the unknown id 'query'|expected a finite number"),
        ("q1\td1\t1\nq1\td1\n", "line 2: expected 3 columns as in the first line; found 2"),
        ("q1\td1\t0.5\n", "expected a whole number as grade, at most 10,000; found '0.5'"),
        ("q1\td1\t1000000000\n", "at most 10,000; found '1000000000'"),
        ("q1\td1\tinf\n", "expected a finite number"),
        ("q1\td1\tx\n", "expected a finite number in \"grade\"; found 'x'"),
    ],
)
def test_hostile_judgements(folder, lines, message):
    with pytest.raises(InputError, match=message):
        Retrieval.read(folder(lines=lines))


def test_ids_come_once(folder):
    path = folder(lines="q1\td1\t1\n")
    (path / "corpus.jsonl").write_text('{"_id": "d1", "text": "a"}\n{"_id": "d1", "text": "b"}\n')
    with pytest.raises(InputError, match="line 2: expected a new"):
        Retrieval.read(path)


def test_identical_ids(folder, tmp_path):
    path = folder(lines="q1\td1\t1\nq2\td0\t1\n")
    (path / "corpus.jsonl").write_text("".join(f'{{"_id": "{key}", "text": "{key}"}}\n' for key in ("d0", "q1", "d1")))
    encoder = Written({"one": angle(0), "two": angle(0), "q1": angle(1), "d1": angle(2), "d0": angle(3)})
    assert [row.tolist() for row in Retrieval.read(path).ranking(encoder)] == [[1, 2, 0], [1, 2, 0]]
    task = Retrieval.read(path, ignore_identical_ids=True)
    assert [row.tolist() for row in task.ranking(encoder)] == [[2, 0], [1, 2, 0]]


def test_a_corpus_that_changes(folder):
    path = folder(lines="q1\td1\t1\n")
    task = Retrieval.read(path)
    (path / "corpus.jsonl").write_text('{"_id": "d1", "text": "a"}\n')
    with pytest.raises(InputError, match="expected 4 documents, found 1"):
        task.ranking(Written({"one": angle(0), "a": angle(1)}))


def test_other_depths():
    # q finds d0 d1 d2 d3; d1 (grade 1) and d3 (grade 2) are relevant.
    encoder = Written({"q": angle(0), **{f"d{i}": angle(10 + 20 * i) for i in range(4)}})
    task = Retrieval("here", ("q",), ({1: 1, 3: 2},), lambda: [f"d{i}" for i in range(4)], 4, at=(4, 1, 2, 4))
    ideal = 2 / math.log2(2) + 1 / math.log2(3)
    assert values(task, encoder) == pytest.approx(
        {
            "ndcg@1": 0.0,
            "ndcg@2": (1 / math.log2(3)) / ideal,
            "ndcg@4": (1 / math.log2(3) + 2 / math.log2(5)) / ideal,
            "recall@1": 0.0,
            "recall@2": 1 / 2,
            "recall@4": 1.0,
            "recall@100": 1.0,
            "mrr@1": 0.0,
            "mrr@2": 1 / 2,
            "mrr@4": 1 / 2,
            "precision@1": 0.0,
            "precision@2": 1 / 2,
            "precision@4": 2 / 4,
            "map@1000": (1 / 2 + 2 / 4) / 2,
        }
    )
    assert list(values(task, encoder))[:4] == ["ndcg@1", "ndcg@2", "ndcg@4", "recall@1"]
    for at in ((), (0,), (1_001,), (True,), (2.5,)):
        with pytest.raises(InputError, match="k: expected whole numbers from 1 to 1,000"):
            Retrieval("here", ("q",), ({1: 1},), lambda: ["d"], 1, at=at)


@pytest.mark.parametrize("rank", [1, 3, 49, 100, 997])
def test_a_rank_is_where_its_reciprocal_says(rank):
    # 1 / (1 / 49) is not 49.
    encoder = Written({"q": angle(0), **{f"d{i}": angle(i / 10) for i in range(1_000)}}, window=999)
    documents = [f"d{i}" for i in range(1_000)]
    task = Retrieval("here", ("q",), ({rank - 1: 1},), lambda: documents, 1_000, at=tuple({rank, max(1, rank - 1)}))
    found = values(task, encoder)
    assert found[f"mrr@{rank}"] == pytest.approx(1 / rank)
    if rank > 1:
        assert found[f"mrr@{rank - 1}"] == 0.0


def test_wordings_by_hand():
    # d0 to d3 lie at 0, 20, 40, 60 degrees. The ranks of d0 are 1 (asked at 0), 2 (at 11), 4 (at 70);
    # those of d2 are 3, 3 and 2; those of d3, asked at 60, at 60 and at 49, are 1, 1 and 2.
    encoder = Written(
        {
            **{f"d{i}": angle(20 * i) for i in range(4)},
            "en q": angle(0),
            "de q": angle(11),
            "zh q": angle(70),
            "en r": angle(60),
            "de r": angle(60),
            "zh r": angle(49),
        }
    )
    task = Retrieval(
        "here",
        ("en q", "en r"),
        ({0: 1, 2: 1}, {3: 1}),
        lambda: [f"d{i}" for i in range(4)],
        4,
        at=(1,),
        wordings=(("de q", "de r"), ("zh q", "zh r")),
    )
    found = values(task, encoder)
    variances = np.var([1, 2, 4]), np.var([3, 3, 2]), np.var([1, 1, 2])
    assert found["mrv"] == pytest.approx(((variances[0] + variances[1]) / 2 + variances[2]) / 2)
    assert found["recall@1"] == pytest.approx(((1 / 2 + 0 + 0) / 3 + (1 + 1 + 0) / 3) / 2)
    assert task.size == {"queries": 2, "wordings of each": 3, "documents": 4}
    report = evaluate(task, {"one": encoder}, resamples=20)
    assert report.units == "queries"
    low, high = report.results[0].estimates["mrv"].interval
    assert variances[2] - 1e-9 <= low <= high <= (variances[0] + variances[1]) / 2 + 1e-9


def test_a_document_that_is_not_found_has_the_rank_after_the_last():
    near = {f"d{i}": angle(i / 100) for i in range(1_100)}
    encoder = Written({**near, "a": angle(0), "b": angle(180)}, window=1_100)
    task = Retrieval("here", ("a",), ({0: 1},), lambda: list(near), 1_100, wordings=(("b",),))
    assert values(task, encoder)["mrv"] == pytest.approx(np.var([1, 1_001]))


def test_as_many_wordings_as_queries():
    with pytest.raises(InputError, match="as many queries in each wording"):
        Retrieval("here", ("q",), ({0: 1},), lambda: ["d"], 1, wordings=(("a", "b"),))


def test_files_of_wordings(folder, tmp_path):
    path = folder(lines="q1\td1\t1\n")
    (tmp_path / "de.jsonl").write_text('{"id": "q9", "text": "neun"}\n{"id": "q1", "text": "eins"}\n')
    assert Retrieval.read(path, wordings=[tmp_path / "de.jsonl"]).wordings == (("eins",),)
    (tmp_path / "zh.jsonl").write_text('{"id": "q2", "text": "er"}\n')
    with pytest.raises(InputError, match=r"zh.jsonl: expected all judged queries .* found 1 of 1 missing, 'q1' first"):
        Retrieval.read(path, wordings=[tmp_path / "de.jsonl", tmp_path / "zh.jsonl"])
    with pytest.raises(InputError, match="none.jsonl: expected a file, found nothing"):
        Retrieval.read(path, wordings=[tmp_path / "none.jsonl"])


def test_nothing_to_ask():
    with pytest.raises(InputError, match="a relevant document for each"):
        Retrieval("here", ("q",), ({},), lambda: ["d"], 1)


def test_judgements_of_documents_that_the_folder_lacks_are_counted_and_told(folder):
    """Published sets have some (ArguAna): the whole set was refused."""
    task = Retrieval.read(folder(lines="q1\td9\t1\nq1\td1\t1\nq2\td8\t1\nq2\td9\t0\n"))
    assert (task.queries, task.relevant) == (("one",), ({1: 1},))
    assert task.notes == (
        "judgements of documents that the folder lacks left out: 3",
        "queries without a relevant document left out: 1",
    )
    encoder = Written({"one": angle(0), **{f"text {i}": angle(10 * i) for i in range(3)}, "Title and text": angle(50)})
    assert "left out: 3" in str(evaluate(task, {"one": encoder}, resamples=0))
    with pytest.raises(InputError, match="found none of 1"):
        Retrieval.read(folder(lines="q1\td9\t1\nq1\td1\t0\n"))
