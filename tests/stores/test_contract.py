"""Store URLs taken apart, and what a collection may be made for."""

from __future__ import annotations

import re
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


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("qdrant:http://localhost:6333", "qdrant://HOST:PORT"),
        ("chroma:HTTPS://host/x", "chroma+https://HOST:PORT"),
        ("pgvector:postgresql://me:hunter2@localhost/db", "pgvector://HOST:PORT"),
        ("lancedb:s3://bucket/index", "lancedb://HOST:PORT"),
    ],
)
def test_an_address_of_another_kind_is_no_folder(text, written):
    """A folder of that name was made."""
    with pytest.raises(StoreURLError, match=f"is written {re.escape(written)}$") as caught:
        StoreURL.parse(text)
    assert "hunter2" not in str(caught.value)


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


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("chroma:~/index", "/home/me/index"),
        ("chroma:~", "/home/me"),
        ("chroma:~/my%20index", "/home/me/my index"),
        ("chroma:%7E/index", "~/index"),
        ("chroma:./~/index", "./~/index"),
        ("chroma:a~b", "a~b"),
        ("chroma:~\ud800", "~\ud800"),
        ("chroma:50%", "50%"),
        ("chroma:100%25", "100%"),
        ("chroma:my index", "my index"),
        ("chroma:a%3Fb%23c", "a?b#c"),
        ("chroma:line\nend\ttab", "line\nend\ttab"),
        ("chroma:a;b&c=d", "a;b&c=d"),
        ("chroma:///a//b", "/a//b"),
        ("chroma:%FF", "\udcff"),
        (r"chroma:C:\data\index", r"C:\data\index"),
        ("chroma:C:/data/index", "C:/data/index"),
        ("chroma:///C:/data/index", "C:/data/index"),
        ("chroma://C:/data/index", "C:/data/index"),
        ("chroma:/C:/data", "C:/data"),
        (r"chroma:\\server\share", r"\\server\share"),
    ],
)
def test_the_folder_that_was_meant(text, path, monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    url = StoreURL.parse(text)
    assert (url.host, url.port, url.path) == ("", None, path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("chroma:notes#1", "in a name it is written %23, as chroma:notes%231"),
        ("chroma:what?#", "in a name it is written %3F, as chroma:what%3F%23"),
        ("chroma://host?x=1", "no store takes options after '\\?'"),
        ("chroma://~/index", "a folder is written chroma:~/index"),
        (r"C:\index", r"a folder needs its store's name before it, as chroma:C:\\index"),
        ("D:/index", "as chroma:D:/index"),
        ("chroma:a%00b", "cannot hold NUL"),
        ("chroma://ho\nst/x", "expected a host after //"),
    ],
)
def test_what_is_refused_says_how_it_is_written(text, said):
    with pytest.raises(StoreURLError, match=said):
        StoreURL.parse(text)


def test_a_home_folder_that_is_not_known(monkeypatch):
    monkeypatch.setattr("os.path.expanduser", lambda path: path)
    with pytest.raises(StoreURLError, match="the home folder is not known here"):
        StoreURL.parse("chroma:~/index")
