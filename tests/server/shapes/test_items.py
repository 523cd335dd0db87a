"""The inputs of a request as items."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from embedkit import Encoder, InputError
from embedkit.records.media import Image
from embedkit.server.shapes.items import given_items


def items(encoder: Encoder, given: Any, role: str = "default", **options: Any) -> list[Any]:
    return given_items(encoder, given, role, **{"most": 10, **options})


def test_texts(encoders: dict[str, Encoder]) -> None:
    tiny = encoders["tiny"]
    assert items(tiny, "a") == [("default", "a")]
    assert items(tiny, ["a", {"text": "b"}], "query") == [("query", "a"), ("query", {"text": "b"})]
    assert items(tiny, "data:image/png;base64,AAAA") == [("default", "data:image/png;base64,AAAA")], (
        "a text, to this bundle"
    )
    for wrong in (None, [], 7, {}.keys(), ["a"] * 11):
        with pytest.raises(InputError, match="input"):
            items(tiny, wrong)


def test_token_ids(encoders: dict[str, Encoder]) -> None:
    tiny = encoders["tiny"]
    for ids in ([1, 2], [[1, 2]], ["a", [1]]):
        with pytest.raises(InputError, match="check_embedding_ctx_length=False"):
            items(tiny, ids)
    assert items(tiny, [[1, 2], "b"], decode=str) == [("default", "[1, 2]"), ("default", "b")]


def test_pictures(encoders: dict[str, Encoder]) -> None:
    pictures = encoders["pictures"]
    uri = "data:image/png;base64," + base64.b64encode(b"bytes").decode()
    for form in (uri, {"image": uri}, {"image_url": {"url": uri}}, {"type": "image_url", "image_url": uri}):
        ((role, item),) = items(pictures, [form])
        assert isinstance(item, Image)
        assert item.data == b"bytes"
        assert pictures.modality(role).frontend.kind == "image"
    assert items(pictures, [{"type": "text", "text": "a"}]) == [("default", "a")]
    for wrong, words in (
        ({"image": "/etc/passwd"}, "not opened"),
        ({"image": "data:audio/wav;base64,AAAA"}, "found one of audio"),
        ("data:image/png;base64,A", "no base64"),
    ):
        with pytest.raises(InputError, match=words):
            items(pictures, [wrong])
    with pytest.raises(InputError, match="reads image, and found a text"):
        items(pictures, ["/etc/passwd"], "image")
