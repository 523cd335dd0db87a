"""The lexical index against BM25 written out, on disk, and against a collection that changes."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("bm25s")

from embedkit import F
from embedkit.errors import InputError, MissingExtraError, StaleIndexError
from embedkit.records.documents import Document
from embedkit.retrieval.analyzer import cutter
from embedkit.retrieval.lexical import LexicalIndex
from embedkit.retrieval.rankers import LexicalRanker
from helpers.word_rows import write

DOCUMENTS = [
    Document("b", "Tea from the mountains, tea from China."),
    Document("a", "Coffee from the coast"),
    Document("d", "A railway timetable"),
    Document("c", "coffee or TEA?"),
    Document("e", ""),
]


def bm25(documents, question, cut):
    """Robertson's BM25 with Lucene's idf, as it is written."""
    bags = {document.id: Counter(cut(document.text)) for document in documents}
    average = sum(sum(bag.values()) for bag in bags.values()) / len(bags)
    scores = {}
    for row_id, bag in bags.items():
        length = sum(bag.values())
        for word in cut(question):
            if bag[word]:
                df = sum(other[word] > 0 for other in bags.values())
                idf = math.log(1 + (len(bags) - df + 0.5) / (df + 0.5))
                tf = bag[word] / (bag[word] + 1.5 * (1 - 0.75 + 0.75 * length / average))
                scores[row_id] = scores.get(row_id, 0.0) + idf * tf
    return dict(sorted(scores.items(), key=lambda item: (-round(item[1], 5), item[0])))


# Scores


@pytest.mark.parametrize("language", [None, "english"])
def test_scores_are_those_of_bm25(language):
    index = LexicalIndex.of(DOCUMENTS, language=language)
    questions = ["tea", "coffee tea tea", "from the", "nothing", "?!", ""]
    for question, found in zip(questions, index.search(questions, 10), strict=True):
        expected = bm25(DOCUMENTS, question, cutter(language))
        assert found == pytest.approx(expected, rel=1e-5)
        assert list(found) == list(expected)


@settings(deadline=None)
@given(
    st.lists(st.text("ab ", max_size=8), min_size=1, max_size=12),
    st.text("abc ", max_size=6),
    st.integers(1, 5),
    st.sets(st.integers(0, 11)),
)
def test_the_best_of_all_and_of_some(texts, question, k, among):
    documents = [Document(str(i), text) for i, text in enumerate(texts)]
    index = LexicalIndex.of(documents)
    (whole,) = index.search([question], 100)
    assert whole == pytest.approx(bm25(documents, question, cutter()), rel=1e-4, abs=1e-6)
    order = sorted(whole, key=lambda row_id: (-whole[row_id], row_id))
    assert list(whole) == order
    assert list(index.search([question], k)[0]) == order[:k]
    some = {str(i) for i in among}
    assert list(index.search([question], k, among=some)[0]) == [row_id for row_id in order if row_id in some][:k]


def test_nothing_to_index(tmp_path):
    for documents in ([], [Document("a", "?!"), Document("b", "")]):
        index = LexicalIndex.of(documents)
        index.save(tmp_path / "index")
        for one in (index, LexicalIndex.load(tmp_path / "index")):
            assert len(one) == len(documents)
            assert one.search(["a", ""], 5) == [{}, {}]


def test_what_cannot_be_indexed():
    with pytest.raises(InputError, match="two documents have the id 'x': expected distinct ids"):
        LexicalIndex.of([Document("x", "a"), Document("y", "b"), Document("x", "c")])
    with pytest.raises(InputError, match="expected a string, found int"):
        LexicalIndex.of([Document("x", 5)])
    with pytest.raises(InputError, match="lone surrogate"):
        LexicalIndex.of(DOCUMENTS, language="english").search(["\ud800"], 1)


# On disk


def test_saved_and_loaded(tmp_path):
    index = LexicalIndex.of(DOCUMENTS, language="english", stopwords=["from", "a"])
    index.save(tmp_path / "index")
    index.save(tmp_path / "index")
    again = LexicalIndex.load(tmp_path / "index")
    questions = ["tea from China", "a railway", "coffee"]
    assert again.search(questions, 5) == index.search(questions, 5)
    assert (again.language, again.stopwords, len(again)) == ("english", ("a", "from"), 5)
    assert isinstance(again._bm25.scores["data"], np.memmap)
    assert [path.name for path in tmp_path.iterdir()] == ["index"], "nothing is left beside it"


def test_what_cannot_be_loaded(tmp_path):
    with pytest.raises(InputError, match="there is no lexical index; make one with LexicalIndex.build"):
        LexicalIndex.load(tmp_path)
    index = LexicalIndex.of(DOCUMENTS)

    def damaged(name, content):
        index.save(tmp_path / "index")
        (tmp_path / "index" / name).write_bytes(content)
        with pytest.raises(InputError, match="the lexical index cannot be read"):
            LexicalIndex.load(tmp_path / "index")

    index.save(tmp_path / "index")
    told = json.loads((tmp_path / "index" / "lexical.json").read_text())
    damaged("lexical.json", json.dumps({**told, "schema": 2}).encode())
    damaged("lexical.json", b"{")
    damaged("ids.json", b'["a"]')
    damaged("digests.npy", b"")
    LexicalIndex.of(DOCUMENTS[:2]).save(tmp_path / "other")
    for name in ("data.csc.index.npy", "indptr.csc.index.npy", "params.index.json"):
        damaged(name, (tmp_path / "other" / name).read_bytes())


def test_a_folder_of_something_else_is_not_replaced(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    index = LexicalIndex.of(DOCUMENTS)
    for place in (tmp_path, tmp_path / "notes.txt"):
        with pytest.raises(InputError, match="expected a folder that is empty, or holds a lexical index"):
            index.save(place)
    with pytest.raises(InputError, match="the lexical index cannot be written"):
        index.save(tmp_path / "notes.txt" / "index")
    assert (tmp_path / "notes.txt").read_text() == "mine"


# Against a collection


def test_built_of_a_collection(rows):
    index = LexicalIndex.build(rows.store, collection="docs", progress=True)
    index.require_current(rows)
    hits = LexicalRanker(rows, index)(["number 7", "tea"], 60, None)
    assert hits[0][0].id == "07"
    assert [len(found) for found in hits] == [60, 60]
    assert hits[0][0].text == "tea number 7"
    assert hits[0][0].metadata == {"n": 7}


@pytest.mark.parametrize("k", [1, 3, 20, 60])
@pytest.mark.parametrize("filter", [F("n") == 59, F("n") >= 40, F("n") < 2, F("n").exists(), F("n") > 99])
def test_a_filter_is_exact(rows, k, filter):
    """Also where the rows that satisfy it are the last of the ranking."""
    index = LexicalIndex.build(rows.store, collection="docs")
    ranker = LexicalRanker(rows, index)
    (whole,) = ranker(["tea"], 60, None)
    expected = [hit for hit in whole if filter.matches(hit.metadata)][:k]
    assert ranker(["tea", "number 59", "nothing"], k, filter)[0] == expected
    assert ranker(["tea", "number 59", "nothing"], k, filter)[2] == []


def test_a_collection_that_changed_is_noticed(rows):
    index = LexicalIndex.build(rows.store, collection="docs")
    ranker = LexicalRanker(rows, index)
    write(rows, [Document("60", "new")])
    with pytest.raises(StaleIndexError, match="has 61 rows, the index 60; build it again, with LexicalIndex.build"):
        ranker(["tea"], 5, None)
    rows.delete(ids=["05"])
    with pytest.raises(StaleIndexError, match="the row '05' is gone"):
        ranker(["number 5"], 5, None)
    with pytest.raises(StaleIndexError, match="the row '60' is not in the index"):
        index.require_current(rows)
    rows.delete(ids=["60"])
    write(rows, [Document("05", "tea number 5, changed")])
    with pytest.raises(StaleIndexError, match="the row '05' has another text than when the index was built"):
        ranker(["number 5"], 5, None)
    with pytest.raises(StaleIndexError, match="the row '05' has another text"):
        index.require_current(rows)
    write(rows, [Document("06", "tea number 6" + " tea" * 6, {"n": "only the metadata changed"})])
    assert ranker(["number 6"], 1, None)[0][0].metadata == {"n": "only the metadata changed"}


@pytest.mark.parametrize("missing", ["bm25s", "Stemmer"])
def test_what_is_missing_is_named(missing):
    code = f"""
import sys; sys.modules[{missing!r}] = None
from embedkit import Document, LexicalIndex, MissingExtraError
try: LexicalIndex.of([Document("a", "b")], language="english")
except MissingExtraError as error: print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "run  pip install 'embedkit-onnx[lexical]'" in done.stdout
    assert issubclass(MissingExtraError, ImportError)


def test_the_programs_logging_is_left_alone():
    """bm25s asks for all of its own messages when it is imported."""
    code = """
import logging; logging.basicConfig(level=logging.INFO)
from embedkit import Document, LexicalIndex
LexicalIndex.of([Document("a", "b")]).search(["b"], 1)
logging.getLogger("bm25s").setLevel(logging.ERROR)
LexicalIndex.of([])
print(logging.getLogger("bm25s").level)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("40\n", "")


def test_the_words_of_a_score_are_those_of_bm25_written_out():
    index, cut = LexicalIndex.of(DOCUMENTS), cutter(None)
    query = "tea Tea coffee from nowhere"
    found = index.words(query, ["b", "a", "e", "gone"])
    assert list(found) == ["b", "a", "e"]
    scores = index.search([query], 9)[0]
    for row_id, words in found.items():
        alone = {word: bm25(DOCUMENTS, word, cut).get(row_id, 0.0) for word in ("tea", "coffee", "from")}
        expected = {word: score * (2 if word == "tea" else 1) for word, score in alone.items() if score}
        assert words == pytest.approx(expected, rel=1e-5)
        assert sum(words.values()) == pytest.approx(scores.get(row_id, 0.0), rel=1e-5)
    assert LexicalIndex.of([Document("e", "")]).words("tea", ["e"]) == {"e": {}}
