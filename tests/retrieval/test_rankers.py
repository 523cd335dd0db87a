"""Hybrid search and reranking, from the library and from the command line."""

from __future__ import annotations

import json
import sys
import uuid
from dataclasses import dataclass

import numpy as np
import pytest

pytest.importorskip("bm25s")

import embedkit
from embedkit import F
from embedkit.cli import entry as cli
from embedkit.errors import InputError, StaleIndexError
from embedkit.ingestion import ingest
from embedkit.records.documents import Document, Hit
from embedkit.retrieval.fusion import METHODS, fuse
from embedkit.retrieval.lexical import LexicalIndex
from embedkit.retrieval.mmr import diverse
from embedkit.retrieval.rankers import HybridRanker
from embedkit.retrieval.searching import search
from embedkit.stores.contract import StoreURL
from embedkit.stores.guarded import GuardedStore
from embedkit.stores.memory import open_store

SUBJECTS = ("tea", "coffee", "a railway")
VERBATIM = [
    "tea\nwith a second line\r\n\tand a tab ",
    "  tea between spaces  ",
    'tea "quoted" \\ {"json": [1]} <b>&amp;</b>',
    "tea 日本語 é é \u202e \x1b[2J 🎉",
    "tea " * 2000,
]


@pytest.fixture
def store(encoder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store = GuardedStore(open_store(StoreURL.parse(f"memory:{uuid.uuid4()}")))
    texts = [f"{subject} {number}" for subject in SUBJECTS for number in range(20)]
    ingest([Document(f"{i:02}", text, {"n": i}) for i, text in enumerate(texts)], encoder, store, collection="docs")
    return store


@pytest.fixture
def index(store):
    return LexicalIndex.build(store, collection="docs")


@dataclass(frozen=True)
class Result:
    index: int
    score: float


class Overlap:
    """Scores a text by the share of its letters that the query has, and remembers how many it was asked about."""

    def __init__(self):
        self.asked = []

    def rank(self, query, documents, k=None):
        self.asked.append(len(documents))
        scores = [len(set(query) & set(text)) / len(set(text)) for text in documents]
        order = sorted(range(len(documents)), key=lambda i: -scores[i])
        return [Result(i, scores[i]) for i in order[:k]]


def scores(hits):
    return {hit.id: hit.score for hit in hits}


# Fusion


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("weights", [None, {"lexical": 0.25}, {"dense": 0.0, "lexical": 2.0}])
@pytest.mark.parametrize("filter", [None, F("n") >= 15])
def test_the_rankings_are_fused(store, encoder, index, method, weights, filter):
    question = "railway 7"
    found = {"collection": "docs", "filter": filter}
    dense = search(question, encoder, store, k=30, **found)
    hits = search(question, encoder, store, k=30, candidates=30, hybrid=method, lexical=index, weights=weights, **found)
    among = None if filter is None else {f"{i:02}" for i in range(15, 60)}
    (lexical,) = index.search([question], 30, among=among)
    assert len(lexical) == 22 if filter is None else 20 < len(lexical) < 23
    given = {"dense": 1.0, "lexical": 1.0, **(weights or {})}
    parts = {name: found for name, found in (("dense", scores(dense)), ("lexical", lexical)) if given[name]}
    expected = fuse(list(parts.values()), method, [given[name] for name in parts])
    assert [hit.id for hit in hits] == list(expected)[:30]
    assert [hit.score for hit in hits] == list(expected.values())[:30]
    for hit in hits:
        assert hit.parts == {name: found[hit.id] for name, found in parts.items() if hit.id in found}
        assert hit.text == f"{SUBJECTS[int(hit.id) // 20]} {int(hit.id) % 20}"
        assert hit.metadata == {"n": int(hit.id)}


def test_a_word_is_found_that_the_vectors_do_not_find(store, encoder, index):
    question, found = "tea timetable of a railway", {"collection": "docs", "k": 8, "candidates": 8}
    assert not any("railway" in hit.text for hit in search(question, encoder, store, **found))
    hits = search(question, encoder, store, **found, lexical=index, hybrid="minmax")
    assert any("railway" in hit.text for hit in hits)
    assert hits == search(question, encoder, store, **found, lexical=index)


def test_an_index_in_a_folder(store, encoder, index, tmp_path):
    index.save(tmp_path / "words")
    here = search(["tea 3", "coffee"], encoder, store, collection="docs", lexical=index)
    assert search(["tea 3", "coffee"], encoder, store, collection="docs", lexical=tmp_path / "words") == here
    assert search(["tea 3", "coffee"], encoder, store, collection="docs", lexical=str(tmp_path / "words")) == here
    assert search([], encoder, store, collection="docs", lexical=index) == []


def test_pages_and_threshold(store, encoder, index):
    found = {"collection": "docs", "lexical": index, "hybrid": "dbsf"}
    whole = search("tea 3", encoder, store, k=40, **found)
    assert len(whole) == 40
    pages = [search("tea 3", encoder, store, k=8, offset=start, **found) for start in range(0, 40, 8)]
    assert [hit for page in pages for hit in page] == whole
    least = whole[10].score
    assert search("tea 3", encoder, store, k=40, min_score=least, **found) == [h for h in whole if h.score >= least]


def test_diversity_scales_fused_scores(store, encoder, index):
    found = {"collection": "docs", "lexical": index, "hybrid": "rrf"}
    pool = search("tea 3", encoder, store, k=60, candidates=60, **found)
    vectors = np.stack([row.vector for row in store.open("docs").get([h.id for h in pool], with_vectors=True)])
    values = np.array([hit.score for hit in pool])
    relevance = (values - values.min()) / (values.max() - values.min())
    order = diverse(relevance, vectors @ vectors.T, 0.5, 10)
    spread = search("tea 3", encoder, store, k=10, diversity=0.5, candidates=60, **found)
    assert spread == [pool[i] for i in order] != pool[:10]


def test_rescored_vectors_are_fused(store, encoder, index):
    found = {"collection": "docs", "lexical": index, "k": 5}
    plain = search("tea 3", encoder, store, **found)
    again = search("tea 3", encoder, store, rescore=True, **found)
    assert [hit.id for hit in again] == [hit.id for hit in plain]
    assert [hit.parts["dense"] for hit in again] == pytest.approx([hit.parts["dense"] for hit in plain], abs=1e-6)


def test_an_index_that_is_older_than_the_collection_is_refused(store, encoder, index):
    ingest([Document("60", "tea")], encoder, store, collection="docs")
    with pytest.raises(StaleIndexError, match="has 61 rows, the index 60"):
        search("tea", encoder, store, collection="docs", lexical=index)
    store.open("docs").delete(ids=["60"])
    # The row has no word of the question now, and is found by its vector alone.
    ingest([Document("03", "ten 3", {"n": 3})], encoder, store, collection="docs")
    with pytest.raises(StaleIndexError, match="the row '03' has another text"):
        search("te", encoder, store, collection="docs", lexical=index)


def test_rankers_may_be_any(store):
    """A third ranker is a function."""

    def fixed(*ids):
        return lambda questions, k, filter: (
            [[Hit(i, 1.0 / n, i, {}) for n, i in enumerate(ids, 1)][:k]] * len(questions)
        )

    ranker = HybridRanker({"x": fixed("a", "b"), "y": fixed("b"), "z": fixed("c", "b", "a")}, "rrf")
    answers = ranker(["one", "two"], 3, None)
    assert [hit.id for hit in answers[0]] == ["b", "a", "c"]
    assert answers[0][0].parts == {"x": 0.5, "y": 1.0, "z": 0.5}
    assert answers[0] == answers[1]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"hybrid": "mean"}, "hybrid: expected one of rrf, minmax, dbsf, found 'mean'"),
        ({"weights": {"sparse": 1.0}}, "weights: expected the names dense, lexical, found 'sparse'"),
        ({"weights": {"dense": -1.0}}, "weights: expected numbers of at least 0"),
        ({"weights": {"dense": 0.0, "lexical": 0.0}}, "not all of them 0"),
        (
            {"lexical": None, "hybrid": "rrf"},
            "keeps dense vectors alone, and one ranking cannot be fused; give lexical",
        ),
        ({"lexical": None, "weights": {"dense": 1.0}}, "hybrid: expected a method"),
        ({"lexical": "nowhere"}, "there is no lexical index"),
        ({"rerank_top": 20}, "rerank: expected a reranker beside rerank_top"),
        ({"rerank": Overlap(), "rerank_top": 9}, "rerank_top: expected at least k . offset = 10, found 9"),
        ({"rerank": Overlap(), "rerank_top": True}, "rerank_top: expected an integer"),
        ({"rerank": Overlap(), "rerank_top": 30, "candidates": 20}, "candidates: expected at least rerank_top = 30"),
        ({"rerank": Overlap(), "k": "3"}, "k: expected an integer"),
    ],
)
def test_what_is_no_search(store, encoder, index, wrong, said):
    with pytest.raises(InputError, match=said):
        search("tea", encoder, store, collection="docs", **{"lexical": index, **wrong})


# Reranking


@pytest.mark.parametrize("hybrid", [None, "minmax"])
def test_the_last_word_is_the_rerankers(store, encoder, index, hybrid):
    found = {"collection": "docs", "lexical": index if hybrid else None, "hybrid": hybrid}
    before = search("railway 7", encoder, store, k=30, **found)
    reranker = Overlap()
    hits = search("railway 7", encoder, store, k=30, rerank=reranker, rerank_top=30, **found)
    expected = {hit.id: len(set("railway 7") & set(hit.text)) / len(set(hit.text)) for hit in before}
    assert scores(hits) == expected
    assert [hit.id for hit in hits] == sorted(expected, key=lambda row_id: (-expected[row_id], row_id))
    name = "hybrid" if hybrid else "dense"
    assert {hit.id: hit.parts[name] for hit in hits} == scores(before)
    assert {hit.id: hit.parts.get("lexical") for hit in hits} == {h.id: h.parts.get("lexical") for h in before}
    pages = [
        search("railway 7", encoder, store, k=10, offset=start, rerank=reranker, rerank_top=30, **found)
        for start in (0, 10, 20)
    ]
    assert [hit for page in pages for hit in page] == hits
    least = hits[9].score
    kept = search("railway 7", encoder, store, k=30, rerank=reranker, rerank_top=30, min_score=least, **found)
    assert kept == [hit for hit in hits if hit.score >= least]
    assert set(reranker.asked) == {30}


def test_how_many_are_reranked(store, encoder):
    reranker = Overlap()
    for more in (
        {},
        {"rerank_top": 12},
        {"candidates": 20},
        {"k": 55},
        {"filter": F("n") < 4},
        {"filter": F("n") > 99},
    ):
        search(["tea", "coffee"], encoder, store, collection="docs", rerank=reranker, **more)
    assert reranker.asked == [50, 50, 12, 12, 20, 20, 55, 55, 4, 4]
    spread = search("tea", encoder, store, collection="docs", rerank=reranker, rerank_top=12, diversity=0.9)
    assert reranker.asked[-1] == 12
    plain = search("tea", encoder, store, collection="docs", rerank=reranker, rerank_top=12)
    assert set(scores(spread)) != set(scores(plain))


@pytest.mark.parametrize(
    "told",
    [
        lambda n: [Result(i, 0.0) for i in range(n - 1)],
        lambda n: [Result(0, 0.0)] * n,
        lambda n: [Result(i + 1, 0.0) for i in range(n)],
        lambda n: [Result(i, float("nan")) for i in range(n)],
    ],
)
def test_a_reranker_that_loses_documents_is_refused(store, encoder, told):
    class Broken:
        def rank(self, query, documents, k):
            return told(len(documents))

    with pytest.raises(InputError, match=r"Broken.rank: expected each index from 0 to 49 once with a finite score"):
        search("tea", encoder, store, collection="docs", rerank=Broken())


def test_a_cross_encoder_of_sentence_transformers(encoder, tmp_path, monkeypatch):
    """With few lines around it, against the logits of its model."""
    torch = pytest.importorskip("torch")
    pytest.importorskip("sentence_transformers")
    from sentence_transformers import CrossEncoder
    from transformers import BertConfig, BertForSequenceClassification

    from helpers.models import SENTENCES, make_tokenizer

    monkeypatch.chdir(tmp_path)
    store = GuardedStore(open_store(StoreURL.parse(f"memory:{uuid.uuid4()}")))
    ingest([Document(str(i), text) for i, text in enumerate(SENTENCES)], encoder, store, collection="docs")
    tokenizer = make_tokenizer("word")
    torch.manual_seed(0)
    size = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
    config = BertConfig(vocab_size=len(tokenizer), num_labels=1, initializer_range=0.5, **size)
    model = BertForSequenceClassification(config).eval()
    model.save_pretrained(tmp_path / "cross")
    tokenizer.save_pretrained(tmp_path / "cross")
    cross = CrossEncoder(str(tmp_path / "cross"), device="cpu")

    class Cross:
        def rank(self, query, documents, k):
            ranked = cross.rank(query, documents, top_k=k, activation_fn=torch.nn.Identity())
            return [Result(one["corpus_id"], float(one["score"])) for one in ranked]

    question = "the quiet harbour"
    lexical = LexicalIndex.build(store, collection="docs")
    hits = search(question, encoder, store, collection="docs", k=8, lexical=lexical, rerank=Cross())
    inputs = tokenizer([question] * 8, list(SENTENCES), padding=True, return_tensors="pt")
    with torch.no_grad():
        logits = model(**inputs).logits[:, 0].numpy()
    assert len({round(float(score), 3) for score in logits}) == 8
    assert [hit.text for hit in hits] == [SENTENCES[i] for i in np.argsort(-logits)]
    assert scores(hits) == pytest.approx({str(i): float(score) for i, score in enumerate(logits)}, abs=1e-5)


# Texts reach the caller


@pytest.mark.parametrize("rerank", [None, Overlap()])
@pytest.mark.parametrize("hybrid", [None, "rrf"])
def test_the_texts_reach_the_caller_as_they_were_written_and_in_order(encoder, tmp_path, monkeypatch, hybrid, rerank):
    """For generation from what was retrieved: each character, best first, with several questions."""
    monkeypatch.chdir(tmp_path)
    store = GuardedStore(open_store(StoreURL.parse(f"memory:{uuid.uuid4()}")))
    ingest([Document(str(i), text) for i, text in enumerate(VERBATIM)], encoder, store, collection="docs")
    lexical = LexicalIndex.build(store, collection="docs") if hybrid else None
    answers = search(
        ["tea", "日"], encoder, store, collection="docs", k=5, hybrid=hybrid, lexical=lexical, rerank=rerank
    )
    for hits in answers:
        assert sorted(hit.text for hit in hits) == sorted(VERBATIM)
        assert [hit.text for hit in hits] == [VERBATIM[int(hit.id)] for hit in hits]
        assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)


# The command


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
