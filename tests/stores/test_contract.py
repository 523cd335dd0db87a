"""Store URLs taken apart, and what a collection may be made for."""

from __future__ import annotations

from typing import Any

import pytest

from embedkit.errors import InputError, StoreURLError
from embedkit.stores.contract import CollectionInfo, CollectionSpec, StoreURL


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("chroma:index", ("chroma", "", "", None, "index")),
        ("chroma:some/index", ("chroma", "", "", None, "some/index")),
        ("chroma:at@home", ("chroma", "", "", None, "at@home")),
        ("chroma:../index", ("chroma", "", "", None, "../index")),
        ("chroma:///var/index", ("chroma", "", "", None, "/var/index")),
        ("chroma:/var/index", ("chroma", "", "", None, "/var/index")),
        ("chroma:with space%20and%23", ("chroma", "", "", None, "with space and#")),
        ("CHROMA://Host:8000", ("chroma", "", "host", 8000, "")),
        ("chroma+https://host", ("chroma", "https", "host", None, "")),
        ("qdrant://[::1]:6333/prefix", ("qdrant", "", "::1", 6333, "/prefix")),
        ("qdrant://:memory:", ("qdrant", "", ":memory:", None, "")),
        ("my_store://host:1/x", ("my_store", "", "host", 1, "/x")),
        ("pg+tls://host/db", ("pg", "tls", "host", None, "/db")),
    ],
)
def test_parts_of_a_url(text, expected):
    url = StoreURL.parse(text)
    assert (url.scheme, url.transport, url.host, url.port, url.path) == expected
    assert url.text == text


@pytest.mark.parametrize(
    "text", ["", "index", "chroma://host:port", "chroma://host:99999", "chroma:index?x=1", "chroma:index#x", None]
)
def test_urls_that_are_refused(text):
    with pytest.raises(StoreURLError):
        StoreURL.parse(text)


@pytest.mark.parametrize("where", ["host:6333", "host:port", "[host", ""])
def test_credentials_are_refused_and_not_repeated(where):
    with pytest.raises(StoreURLError, match="environment") as caught:
        StoreURL.parse(f"qdrant://me:hunter2@{where}")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"name": ""}, "collection name"),
        ({"name": "nul \0"}, "collection name"),
        ({"name": None}, "collection name"),
        ({"dim": 0}, "dim"),
        ({"dim": True}, "dim"),
        ({"dim": 2.0}, "dim"),
        ({"dim": -1, "sparse": 5}, "dim"),
        ({"sparse": -1}, "sparse"),
        ({"multivector": 1.5}, "multivector"),
        ({"metric": "manhattan"}, "metric.*cosine.*manhattan"),
    ],
)
def test_what_no_collection_is_made_for(given: dict[str, Any], named: str) -> None:
    with pytest.raises(InputError, match=named):
        CollectionSpec(**{"name": "docs", "dim": 2, **given})


def test_what_a_collection_is_made_for_outlives_its_spec() -> None:
    spec = CollectionSpec("docs", 0, "dot", "model", 5, 7)
    info = CollectionInfo.of(spec)
    fields = ("name", "dim", "metric", "fingerprint", "sparse", "multivector")
    assert [getattr(info, field) for field in fields] == ["docs", 0, "dot", "model", 5, 7]
