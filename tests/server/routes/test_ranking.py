"""Reranking and scores in each client's shape: those of `Reranker` and of the bundle's similarity."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from embedkit import Encoder, Reranker
from helpers.served import Served

QUERY, TEXTS = "tea", ["a mountain", "tea leaves", "rain", "x" * 300, "tea"]


@pytest.fixture(scope="module")
def expected(encoders: dict[str, Encoder]) -> np.ndarray:
    return Reranker(encoders["rank"]).score((QUERY, text) for text in TEXTS)


@pytest.mark.parametrize("path", ["/rerank", "/v1/rerank", "/v2/rerank"])
def test_rerank(server: Served, expected: np.ndarray, path: str) -> None:
    order = np.argsort(-expected, kind="stable")
    got = server.ask(path, {"model": "rank", "query": QUERY, "documents": TEXTS})
    assert got.status == 200
    assert [one["index"] for one in got.json["results"]] == order.tolist()
    assert np.array_equal(np.float32([one["relevance_score"] for one in got.json["results"]]), expected[order])
    assert "document" not in got.json["results"][0]
    tokens = [min(64, 2 + len(f"{QUERY}|{text}".encode())) for text in TEXTS]
    assert got.json["usage"]["total_tokens"] == got.json["meta"]["tokens"]["input_tokens"] == sum(tokens)
    assert got.headers["x-embedkit-truncated"] == "1"
    assert got.json["id"] == got.headers["x-request-id"]


def test_the_first_that_ranks_is_taken_where_none_is_named(server: Served) -> None:
    got = server.ask(
        "/rerank",
        {"query": QUERY, "documents": [{"text": text} for text in TEXTS], "top_n": 2, "return_documents": True},
    )
    assert got.json["model"] == "rank"
    assert [one["document"]["text"] for one in got.json["results"]] == [
        TEXTS[one["index"]] for one in got.json["results"]
    ]
    assert len(got.json["results"]) == 2


def test_in_the_form_of_tei(server: Served, expected: np.ndarray, encoders: dict[str, Encoder]) -> None:
    order = np.argsort(-expected, kind="stable")
    got = server.ask("/rerank", {"query": QUERY, "texts": TEXTS, "return_text": True})
    assert [(one["index"], one["text"]) for one in got.json] == [(int(i), TEXTS[i]) for i in order]
    assert np.array_equal(np.float32([one["score"] for one in got.json]), expected[order])
    raw = server.ask("/rerank", {"query": QUERY, "texts": TEXTS, "raw_scores": True}).json
    logits = encoders["rank"].encode([{"query": QUERY, "document": text} for text in TEXTS], output="logits")[:, 0]
    assert np.array_equal(np.float32([one["score"] for one in raw]), logits[order])
    cut = server.ask("/rerank", {"query": QUERY, "texts": TEXTS, "truncate": False})
    assert cut.status == 400
    assert "text 3 is longer than the 64 tokens" in cut.data.decode()


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"documents": []}, "found an empty list"),
        ({}, "documents: expected a list"),
        ({"documents": [7]}, "document 0: expected a text"),
        ({"documents": ["a"], "query": 7}, "query: expected a text"),
        ({"documents": ["a"], "query": None}, "query: expected a text"),
        ({"documents": ["a"], "top_n": 0}, "top_n"),
        ({"documents": ["a"], "model": "tiny"}, "'tiny' scores no pairs"),
        ({"documents": "a"}, "array"),
    ],
)
def test_what_is_refused(server: Served, body: dict[str, Any], words: str) -> None:
    got = server.ask("/v1/rerank", {"model": "rank", "query": QUERY, **body})
    assert got.status == 400
    assert words in got.json["error"]["message"]


def test_scores_of_pairs(server: Served, expected: np.ndarray) -> None:
    got = server.ask("/score", {"model": "rank", "queries": QUERY, "documents": TEXTS}).json
    assert np.array_equal(np.float32([one["score"] for one in got["data"]]), expected)
    assert [one["index"] for one in got["data"]] == list(range(5))
    got = server.ask("/v1/score", {"model": "rank", "text_1": [QUERY] * 5, "text_2": TEXTS}).json
    assert np.array_equal(np.float32([one["score"] for one in got["data"]]), expected)
    assert server.ask("/score", {"model": "rank", "text_1": ["a", "b"], "text_2": TEXTS}).status == 400
    assert server.ask("/score", {"model": "rank", "text_1": ["a", "b"]}).status == 400


def test_scores_by_vectors_where_no_pairs_are_read(server: Served, encoders: dict[str, Encoder]) -> None:
    tiny = encoders["tiny"]
    got = server.ask("/score", {"model": "tiny", "data_1": QUERY, "data_2": TEXTS}).json
    expected = tiny.similarity(tiny.encode_query([QUERY]), tiny.encode_document(TEXTS))[0]
    assert np.allclose([one["score"] for one in got["data"]], expected, atol=1e-6)
