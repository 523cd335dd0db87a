"""Cohere's embeddings, several precisions at once."""

from __future__ import annotations

import base64

import numpy as np

from embedkit import Encoder, fit_ranges
from embedkit.server.settings import ServeSettings
from embedkit.vectors.quantization import quantize
from helpers.served import Served, served

TEXTS = ["tea", "", "rain"]


def test_types(server: Served, encoders: dict[str, Encoder]) -> None:
    tiny = encoders["tiny"]
    vectors = tiny.encode_document(TEXTS)
    types = ["float", "base64", "binary", "ubinary"]
    body = {"texts": TEXTS, "model": "tiny", "input_type": "search_document", "embedding_types": types}
    got = server.ask("/v2/embed", body).json
    found = got["embeddings"]
    assert np.float32(found["float"]).tobytes() == vectors.tobytes()
    assert b"".join(map(base64.b64decode, found["base64"])) == vectors.tobytes()
    for kind in ("binary", "ubinary"):
        assert np.array_equal(found[kind], quantize(vectors, kind))  # type: ignore[arg-type]
    assert got["texts"] == TEXTS
    assert got["response_type"] == "embeddings_by_type"
    assert got["meta"]["billed_units"]["input_tokens"] == sum(len(text) + 2 for text in TEXTS)


def test_the_first_version(server: Served, encoders: dict[str, Encoder]) -> None:
    body = {"texts": TEXTS, "model": "tiny", "input_type": "search_query", "output_dimension": 3}
    got = server.ask("/v1/embed", body).json
    assert np.float32(got["embeddings"]).tobytes() == encoders["tiny"].encode_query(TEXTS, dim=3).tobytes()
    assert got["response_type"] == "embeddings_floats"
    assert list(server.ask("/v2/embed", body).json["embeddings"]) == ["float"]


def test_parts_of_content(server: Served, encoders: dict[str, Encoder]) -> None:
    inputs = [{"content": [{"type": "text", "text": "red"}]}]
    got = server.ask("/v2/embed", {"inputs": inputs, "model": "pictures", "input_type": "clustering"}).json
    assert np.float32(got["embeddings"]["float"]).tobytes() == encoders["pictures"].encode(["red"]).tobytes()


def test_int8_by_the_servers_ranges(encoders: dict[str, Encoder]) -> None:
    tiny = encoders["tiny"]
    ranges = fit_ranges(tiny.encode([f"text {i}" for i in range(200)]))
    with served({"tiny": tiny}, ServeSettings(ranges=ranges, access_log=False, drain=0)) as running:
        got = running.ask("/v2/embed", {"texts": TEXTS, "embedding_types": ["int8", "uint8"]}).json["embeddings"]
        for kind in ("int8", "uint8"):
            assert np.array_equal(got[kind], quantize(tiny.encode(TEXTS), kind, ranges=ranges))  # type: ignore[arg-type]


def test_what_is_refused(server: Served) -> None:
    for body, words in (
        ({"texts": ["a"], "embedding_types": ["int8"]}, "needs the ranges"),
        ({"texts": ["a"], "embedding_types": ["int4"]}, "embedding_types: expected some of float"),
        ({"texts": ["a"], "truncate": "START"}, "cut at their end"),
        ({"texts": ["x" * 300], "truncate": "NONE"}, "text 0 is longer than"),
        ({"texts": []}, "empty list"),
        ({}, "expected one of texts"),
        ({"texts": ["a"], "images": ["b"]}, "expected one of texts"),
        ({"inputs": [{"content": []}], "model": "pictures"}, "one part of content"),
        ({"texts": ["a"], "model": "rank"}, "expected a mapping"),
    ):
        got = server.ask("/v2/embed", {"model": "tiny", **body})
        assert got.status == 400
        assert words in got.json["error"]["message"]
