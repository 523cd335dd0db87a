"""OpenAI's embeddings over a real port: the vectors of `Encoder.encode`, bit for bit."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from embedkit import Encoder
from embedkit.server.settings import ServeSettings
from embedkit.testing.tiny import tiny_bundle
from helpers.served import Served, served, vectors_of
from helpers.small_bundles import with_decoder

TEXTS = ["tea", "", "héllo 日本語 🎉", "x" * 500, "tea"]


@pytest.mark.parametrize("path", ["/v1/embeddings", "/embeddings"])
@pytest.mark.parametrize("form", ["base64", "float", None])
def test_the_vectors_are_those_of_encode(
    server: Served, encoders: dict[str, Encoder], path: str, form: str | None
) -> None:
    got = server.ask(
        path, {"input": TEXTS, "model": "tiny", "encoding_format": form, "user": "me", "unknown": {"a": 1}}
    )
    assert got.status == 200
    assert vectors_of(got.json).tobytes() == encoders["tiny"].encode(TEXTS).tobytes()
    assert [one["index"] for one in got.json["data"]] == [0, 1, 2, 3, 4]
    tokens = [len(text.encode()) + 2 for text in TEXTS]
    total = sum(min(count, 64) for count in tokens)
    assert got.json["usage"] == {"prompt_tokens": total, "total_tokens": total, "truncated_texts": 1}
    assert got.json["truncated"] == [i for i, count in enumerate(tokens) if count > 64]
    assert got.headers["x-embedkit-truncated"] == "1"
    assert got.json["model"] == "tiny"
    assert got.json["object"] == "list"


def test_one_text_alone(server: Served, encoders: dict[str, Encoder]) -> None:
    got = server.ask("/v1/embeddings", {"input": "tea", "model": "text-embedding-3-small"})
    assert vectors_of(got.json).tobytes() == encoders["tiny"].encode(["tea"]).tobytes()
    assert got.json["usage"] == {"prompt_tokens": 5, "total_tokens": 5}
    assert "truncated" not in got.json
    assert "x-embedkit-truncated" not in got.headers
    assert got.json["model"] == "tiny"


@pytest.mark.parametrize(
    ("asked", "role"),
    [
        ({}, "default"),
        ({"role": "query"}, "query"),
        ({"prompt_name": "query"}, "query"),
        ({"input_type": "search_query"}, "query"),
        ({"input_type": "search_document"}, "document"),
        ({"input_type": "clustering"}, "default"),
        ({"model": "tiny:query"}, "query"),
        ({"model": "text-embedding-3-small:document"}, "document"),
        ({"model": "tiny:query", "role": "document"}, "document"),
    ],
)
def test_roles(server: Served, encoders: dict[str, Encoder], asked: dict[str, str], role: str) -> None:
    got = server.ask("/v1/embeddings", {"model": "tiny", "input": "tea", **asked})
    assert vectors_of(got.json).tobytes() == encoders["tiny"].encode(["tea"], role=role).tobytes()


def test_the_default_role_is_an_option(encoders: dict[str, Encoder]) -> None:
    with served({"tiny": encoders["tiny"]}, ServeSettings(default_role="query", access_log=False, drain=0)) as running:
        got = running.ask("/v1/embeddings", {"input": "tea"})
        assert vectors_of(got.json).tobytes() == encoders["tiny"].encode_query(["tea"]).tobytes()


@pytest.mark.parametrize("size", [{"dimensions": 3}, {"output_dimension": 3}, {"dimensions": 0, "output_dimension": 3}])
def test_sizes(server: Served, encoders: dict[str, Encoder], size: dict[str, int]) -> None:
    got = server.ask("/v1/embeddings", {"model": "tiny", "input": TEXTS, "encoding_format": "base64", **size})
    assert vectors_of(got.json).tobytes() == encoders["tiny"].encode(TEXTS, dim=3).tobytes()


def test_no_size_is_none(server: Served) -> None:
    for size in (0, None):
        assert vectors_of(
            server.ask("/v1/embeddings", {"model": "tiny", "input": "a", "dimensions": size}).json
        ).shape == (1, 8)


def test_sparse_ones_and_several_a_text(server: Served, encoders: dict[str, Encoder]) -> None:
    got = server.ask("/v1/embeddings", {"model": "tiny", "input": ["tea", "ab"], "output": "sparse"}).json
    expected = encoders["tiny"].encode(["tea", "ab"], output="sparse")
    for one, (indices, values) in zip(got["data"], expected, strict=True):
        assert one["embedding"]["indices"] == indices.tolist()
        assert np.float32(one["embedding"]["values"]).tobytes() == values.tobytes()
    got = server.ask("/v1/embeddings", {"model": "tiny", "input": ["tea", "ab"], "output": "multivector"}).json
    several = encoders["tiny"].encode(["tea", "ab"], output="multivector")
    for one, rows in zip(got["data"], several, strict=True):
        assert np.float32(one["embedding"]).tobytes() == rows.tobytes()


@pytest.mark.parametrize(
    ("body", "status", "param", "words"),
    [
        ({"input": []}, 400, "input", "found an empty list"),
        ({}, 400, "input", "found none"),
        ({"input": None}, 400, "input", "found none"),
        ({"input": 7}, 400, "input", "found int"),
        ({"input": ["a", 7]}, 400, None, "text 1: expected a string, found int"),
        ({"input": "\ud800"}, 400, None, "no JSON that can be read"),
        ({"input": [1, 2, 3]}, 400, "input", "check_embedding_ctx_length=False"),
        ({"input": [[1, 2], [3]]}, 400, "input", "check_embedding_ctx_length=False"),
        ({"input": "a", "dimensions": 9}, 400, "dimensions", "from 1 to 8"),
        ({"input": "a", "dimensions": -1}, 400, "dimensions", "positive"),
        ({"input": "a", "dimensions": "3"}, 400, "dimensions", "int"),
        ({"input": "a", "encoding_format": "hex"}, 400, "encoding_format", "float or base64"),
        ({"input": "a", "output": "sparse", "encoding_format": "base64"}, 400, "encoding_format", "dense"),
        ({"input": "a", "output": "other"}, 400, None, "output: this bundle has dense, sparse, multivector"),
        ({"input": "a", "role": "nobody"}, 400, "role", "expected one of default, query, document"),
        ({"input": "a", "model": "unknown"}, 404, "model", "there is no model 'unknown'; there are tiny"),
        ({"input": "a", "model": "tiny:nobody"}, 404, "model", "there is no model"),
        ({"input": "a", "model": 7}, 400, "model", "str"),
    ],
)
def test_what_is_refused(server: Served, body: dict[str, Any], status: int, param: str | None, words: str) -> None:
    got = server.ask("/v1/embeddings", {"model": "tiny", **body})
    assert got.status == status
    error = got.json["error"]
    assert words in error["message"]
    assert (error["param"], error["type"]) == (param, "not_found_error" if status == 404 else "invalid_request_error")
    assert error["code"] is None or isinstance(error["code"], str)


def test_a_lone_bundle_answers_to_any_name(lone: Served, encoder: Encoder) -> None:
    for name in ("text-embedding-ada-002", "tiny", None, "", "anything:query"):
        got = lone.ask("/v1/embeddings", {"model": name, "input": "tea"})
        assert got.status == 200
        assert got.json["model"] == "tiny"
    with served({"tiny": encoder}, ServeSettings(strict_model=True, access_log=False, drain=0)) as strict:
        assert strict.ask("/v1/embeddings", {"model": "text-embedding-ada-002", "input": "tea"}).status == 404
        assert strict.ask("/v1/embeddings", {"model": "tiny", "input": "tea"}).status == 200


def test_token_ids_of_the_bundles_own_tokenizer(tmp_path: Path) -> None:
    folder = with_decoder(tiny_bundle(tmp_path / "bundle"))
    encoder = Encoder.load(folder, variant="fp32", threads=1, on_truncate="ignore")
    with served({"tiny": encoder}, ServeSettings(token_ids="model", access_log=False, drain=0)) as running:
        ids = [list(b"tea"), [256, *b"ab", 257]]
        got = running.ask("/v1/embeddings", {"input": ids, "encoding_format": "base64"})
        assert vectors_of(got.json).tobytes() == encoder.encode(["tea", "ab"]).tobytes()
        assert (
            vectors_of(running.ask("/v1/embeddings", {"input": ids[0]}).json).tobytes()
            == encoder.encode(["tea"]).tobytes()
        )
        for wrong in ([1, 100_277], [-1], [2**40]):
            assert (
                "expected ids of the model's tokenizer"
                in running.ask("/v1/embeddings", {"input": wrong}).json["error"]["message"]
            )


def test_too_many_texts(encoder: Encoder) -> None:
    with served({"tiny": encoder}, ServeSettings(max_texts=3, access_log=False, drain=0)) as running:
        assert running.ask("/v1/embeddings", {"input": ["a"] * 3}).status == 200
        assert (
            "at most 3 texts, found 4" in running.ask("/v1/embeddings", {"input": ["a"] * 4}).json["error"]["message"]
        )


def test_2048_texts_in_one_request(lone: Served, encoder: Encoder) -> None:
    texts = [f"text {i} " + "y" * (i % 50) for i in range(2048)]
    got = lone.ask("/v1/embeddings", {"input": texts, "encoding_format": "base64"})
    assert vectors_of(got.json).tobytes() == encoder.encode(texts).tobytes()


def test_pictures_by_data_uri(server: Served, encoders: dict[str, Encoder], tmp_path: Any) -> None:
    from PIL import Image

    path = tmp_path / "red.png"
    Image.fromarray(np.full((16, 16, 3), (255, 0, 0), np.uint8)).save(path)
    uri = "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()
    pictures = encoders["pictures"]
    red, text = pictures.encode([path]), pictures.encode(["red"])
    forms: list[Any] = [uri, {"image": uri}, {"type": "image_url", "image_url": {"url": uri}}]
    for form in forms:
        got = server.ask("/v1/embeddings", {"model": "pictures", "input": [form]})
        assert vectors_of(got.json).tobytes() == red.tobytes()
    got = server.ask("/v1/embeddings", {"model": "pictures", "input": ["red", uri, "red"]})
    assert vectors_of(got.json).tobytes() == np.concatenate([text, red, text]).tobytes()
    for wrong, words in (
        ({"image": str(path)}, "files and addresses are not opened"),
        ({"image": "https://example.org/a.png"}, "files and addresses are not opened"),
        ("data:image/png;base64,!!!", "no base64"),
        ("data:image/png;base64,aGVsbG8=", "image"),
    ):
        got = server.ask("/v1/embeddings", {"model": "pictures", "input": [wrong]})
        assert got.status == 400
        assert words in got.json["error"]["message"]
    got = server.ask("/v1/embeddings", {"model": "pictures", "input": str(path), "role": "image"})
    assert got.status == 400, "a path of the server's machine is no picture"


def test_numbers_are_read_back_as_they_were(lone: Served, encoder: Encoder) -> None:
    got = lone.ask("/v1/embeddings", {"input": "tea"})
    assert np.float32(json.loads(got.data)["data"][0]["embedding"]).tobytes() == encoder.encode("tea").tobytes()
