"""Store URLs, and from a URL to its plugin."""

from __future__ import annotations

from pathlib import Path

import pytest

from embedkit.errors import MissingExtraError, StoreError, StoreURLError
from embedkit.stores.contract import StoreURL
from embedkit.stores.opening import open_store
from embedkit.stores.plugins import store_plugins


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A function that installs a distribution with one module and its entry points."""
    monkeypatch.syspath_prepend(tmp_path)

    def install(name: str, module: str, entries: str) -> None:
        info = tmp_path / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[embedkit.stores]\n{entries}\n")
        (tmp_path / f"{name}.py").write_text(module)

    return install


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


def test_an_unknown_scheme_names_what_is_there(install):
    install("known", "", "known = known:open_store")
    with pytest.raises(StoreURLError, match=r"unknown store scheme 'unknown'.*known"):
        open_store("unknown:x")


def test_two_plugins_of_one_scheme_are_refused(install):
    install("first", "", "twice = first:open_store")
    install("second", "", "twice = second:open_store")
    with pytest.raises(
        StoreURLError, match=r"first:open_store and second:open_store|second:open_store and first:open_store"
    ):
        open_store("twice:x")


def test_a_plugin_listed_twice_with_one_value_is_one(install):
    install("first", "", "same = first:open_store")
    install("again", "", "same = first:open_store")
    assert store_plugins()["same"].value == "first:open_store"


def test_a_broken_plugin_is_named(install):
    install("broken", "import no_such_module_anywhere", "broken = broken:open_store")
    install("raising", "def open_store(url): raise OSError('disk')", "raising = raising:open_store")
    install("wrong", "def open_store(url): return 1", "wrong = wrong:open_store")
    with pytest.raises(StoreError, match=r"broken:open_store.*no_such_module_anywhere"):
        open_store("broken:x")
    with pytest.raises(StoreError, match=r"raising:open_store.*disk"):
        open_store("raising:x")
    with pytest.raises(StoreError, match=r"wrong:open_store.*int.*VectorStore"):
        open_store("wrong:x")


def test_a_plugins_own_error_passes(install):
    install(
        "asks",
        "from embedkit.errors import MissingExtraError\ndef open_store(url): raise MissingExtraError('p', 'e', 'w')",
        "asks = asks:open_store",
    )
    with pytest.raises(MissingExtraError, match=r"embedkit-onnx\[e\]"):
        open_store("asks:x")
