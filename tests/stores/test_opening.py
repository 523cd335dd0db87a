"""From a store URL to its plugin."""

from __future__ import annotations

import pytest

import embedkit
from embedkit.errors import CollectionNotFoundError, MissingExtraError, StoreError, StoreURLError
from embedkit.ingestion import check, copy, dedupe, info
from embedkit.ingestion.jobs.migrate import finish, go_back
from embedkit.stores.opening import open_store
from helpers.embedded import STORES


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


@pytest.mark.parametrize(
    "scheme", [name for name in STORES if name not in ("memory", "opensearch", "pgvector", "redis")]
)
def test_what_only_reads_makes_no_store(scheme, tmp_path, entry_points):
    pytest.importorskip(STORES[scheme])
    url = f"{scheme}:{tmp_path}/index"
    for read in (
        lambda: open_store(url, make=False),
        lambda: info(url, collection="docs"),
        lambda: dedupe(url, collection="docs"),
        lambda: check([], None, url, collection="docs"),
        lambda: copy(url, "memory:target", collection="docs"),
        lambda: go_back(url, collection="docs"),
        lambda: finish(url, collection="docs"),
        lambda: embedkit.LexicalIndex.build(url, collection="docs"),
    ):
        with pytest.raises(CollectionNotFoundError, match="there is no store at"):
            read()
        assert list(tmp_path.iterdir()) == []
    open_store(url).close()
    open_store(url, make=False).close()


def test_a_store_in_memory_is_there():
    open_store("memory:there", make=False).close()
