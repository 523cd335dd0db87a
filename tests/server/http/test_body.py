"""Bodies: mutations of valid ones, for every route, are answered and never with a 500."""

from __future__ import annotations

import json
import os
import random

import msgspec
import pytest

from embedkit.server.http.body import check_headers, decoded_body, without_nulls
from embedkit.server.http.failures import Refusal
from embedkit.server.routes.embeddings import EmbeddingsBody
from helpers.served import Served

MUTATIONS = int(os.environ.get("EMBEDKIT_MUTATIONS", "60"))
"""Of each route's body."""

VALID = {
    "/v1/embeddings": {
        "input": ["tea", "rain"],
        "model": "tiny",
        "encoding_format": "base64",
        "dimensions": 3,
        "role": "query",
    },
    "/rerank": {
        "query": "tea",
        "documents": ["a", {"text": "b"}],
        "model": "rank",
        "top_n": 1,
        "return_documents": True,
    },
    "/v1/score": {"model": "tiny", "queries": "a", "documents": ["a", "b"]},
    "/classify": {"input": ["a", "b"], "model": "classes"},
    "/embed": {"inputs": ["a", "b"], "normalize": True, "truncate": True, "prompt_name": "query", "dimensions": 2},
    "/embed_sparse": {"inputs": "a"},
    "/embed_all": {"inputs": ["a"]},
    "/similarity": {"inputs": {"source_sentence": "a", "sentences": ["a", "b"]}},
    "/predict": {"inputs": [["a"], ["b"]], "raw_scores": False},
    "/tokenize": {"inputs": ["a"], "add_special_tokens": True},
    "/decode": {"ids": [97, 98], "skip_special_tokens": True},
    "/v2/embed": {
        "texts": ["a"],
        "model": "tiny",
        "input_type": "search_query",
        "embedding_types": ["float", "ubinary"],
    },
}
ODD = [
    None,
    True,
    0,
    -1,
    2**63,
    1.5,
    "",
    "x" * 1000,
    "\ud800",
    [],
    [[]],
    [None],
    {},
    {"a": 1},
    [1, 2],
    ["a", 1],
    {"text": None},
    "data:image/png;base64,AAAA",
]


def mutated(body: dict[str, object], rng: random.Random) -> bytes:
    """One change of the values, or some of the bytes."""
    if rng.random() < 0.6:
        changed = json.loads(json.dumps(body))
        place: object = changed
        while isinstance(place, dict | list) and place:
            key = rng.choice(list(place)) if isinstance(place, dict) else rng.randrange(len(place))
            inner = place[key]  # type: ignore[index]
            if isinstance(inner, dict | list) and inner and rng.random() < 0.5:
                place = inner
                continue
            place[key] = rng.choice(ODD)  # type: ignore[index]
            break
        return json.dumps(changed).encode()
    data = bytearray(json.dumps(body).encode())
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(data))
        kind = rng.randrange(3)
        if kind == 0:
            data[at] = rng.randrange(256)
        elif kind == 1:
            del data[at : at + rng.randint(1, 5)]
        else:
            data[at:at] = rng.choice([b"\x00", b"\xff", b"{", b"]", b'"', b"\\u", b"NaN", b"1e999"])
    return bytes(data)


@pytest.mark.parametrize("path", VALID)
def test_mutations_are_answered_and_never_with_a_500(server: Served, path: str) -> None:
    rng = random.Random(path)
    assert server.ask(path, VALID[path]).status == 200
    for _ in range(MUTATIONS):
        body = mutated(VALID[path], rng)
        got = server.ask(path, body)
        assert got.status in (200, 400, 404, 422), (got.status, body, got.data)
        assert got.data


def test_null_is_absent_and_what_is_unknown_is_ignored() -> None:
    found = decoded_body(b'{"input": "a", "model": null, "dimensions": null, "more": [1]}', EmbeddingsBody)
    assert (found.input, found.model, found.dimensions) == ("a", None, None)
    assert without_nulls([None]) == [None]


def test_the_field_that_is_wrong_is_named() -> None:
    with pytest.raises(Refusal) as caught:
        decoded_body(b'{"input": "a", "model": 7}', EmbeddingsBody)
    assert (caught.value.status, caught.value.param) == (400, "model")

    class Nested(msgspec.Struct):
        inner: EmbeddingsBody

    with pytest.raises(Refusal) as caught:
        decoded_body(b'{"inner": {"model": 7}}', Nested)
    assert caught.value.param == "inner"


def test_what_is_known_before_the_body() -> None:
    check_headers({"content-length": "10", "content-type": "application/json"}, 10)
    check_headers({}, 10)
    for headers, status in (
        ({"content-length": "11"}, 413),
        ({"content-length": "9" * 5000}, 413),
        ({"content-type": "multipart/form-data"}, 415),
        ({"content-encoding": "br"}, 415),
    ):
        with pytest.raises(Refusal) as caught:
            check_headers(headers, 10)
        assert caught.value.status == status
