"""TEI's shapes, as its clients read them: bare lists, and errors in its own words."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from embedkit import Encoder
from helpers.served import Served

TEXTS = ["tea", "", "x" * 300]


def test_embed(server: Served, encoders: dict[str, Encoder]) -> None:
    tiny = encoders["tiny"]
    got = server.ask("/embed", {"inputs": TEXTS, "truncate": True})
    assert np.float32(got.json).tobytes() == tiny.encode(TEXTS).tobytes()
    assert np.float32(server.ask("/embed", {"inputs": "tea"}).json).tobytes() == tiny.encode(["tea"]).tobytes()
    got = server.ask("/embed", {"inputs": TEXTS, "prompt_name": "query", "normalize": True, "dimensions": 3})
    assert np.float32(got.json).tobytes() == tiny.encode_query(TEXTS, dim=3).tobytes()


def test_every_token_and_sparse_ones(server: Served, encoders: dict[str, Encoder]) -> None:
    tiny = encoders["tiny"]
    got = server.ask("/embed_all", {"inputs": TEXTS}).json
    for found, rows in zip(got, tiny.encode(TEXTS, output="multivector"), strict=True):
        assert np.float32(found).tobytes() == rows.tobytes()
    got = server.ask("/embed_sparse", {"inputs": TEXTS}).json
    for found, (indices, values) in zip(got, tiny.encode(TEXTS, output="sparse"), strict=True):
        assert [one["index"] for one in found] == indices.tolist()
        assert np.float32([one["value"] for one in found]).tobytes() == values.tobytes()


def test_similarity(server: Served, encoders: dict[str, Encoder]) -> None:
    tiny = encoders["tiny"]
    got = server.ask("/similarity", {"inputs": {"source_sentence": "tea", "sentences": ["tea", "rain"]}}).json
    vectors = tiny.encode(["tea", "tea", "rain"])
    assert np.allclose(got, tiny.similarity(vectors[:1], vectors[1:])[0], atol=1e-6)


def test_info(server: Served, lone: Served, encoder: Encoder) -> None:
    got = lone.ask("/info").json
    assert got["model_id"] == "tiny"
    assert got["model_type"] == {"embedding": {"pooling": "dense"}}
    assert (got["max_input_length"], got["max_client_batch_size"]) == (64, 8192)
    wanted = "model_id model_sha model_dtype model_type max_concurrent_requests max_input_length max_batch_tokens"
    assert set(wanted.split()) <= set(got)


@pytest.mark.parametrize(
    ("path", "body", "status", "kind", "words"),
    [
        ("/embed", {"inputs": []}, 400, "empty", "empty list"),
        ("/embed", {"inputs": "x" * 300, "truncate": False}, 422, "validation", "text 0 is longer than the 64 tokens"),
        ("/embed", {"inputs": "a", "prompt_name": "nobody"}, 422, "validation", "default, query, document"),
        ("/embed", {"inputs": "a", "truncation_direction": "Left"}, 422, "validation", "cut at their end"),
        ("/embed", {"inputs": "a", "normalize": False}, 422, "validation", "unit length"),
        ("/embed", {"inputs": 3}, 422, "validation", "found int"),
        ("/embed", {"inputs": "a", "model": "rank"}, 422, "validation", "expected a mapping"),
        ("/embed_sparse", {"inputs": "a", "model": "pictures"}, 422, "validation", "no sparse"),
        ("/similarity", {"inputs": {"source_sentence": "a", "sentences": []}}, 400, "empty", "at least one"),
        ("/similarity", {"inputs": "a"}, 422, "validation", "object"),
        ("/embed", b"{", 422, "validation", "no JSON"),
    ],
)
def test_what_is_refused(server: Served, path: str, body: Any, status: int, kind: str, words: str) -> None:
    got = server.ask(path, body)
    assert (got.status, got.json["error_type"]) == (status, kind)
    assert words in got.json["error"]
