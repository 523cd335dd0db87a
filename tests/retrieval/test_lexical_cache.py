"""The index of a collection is kept in a folder, and built again where it is old."""

from __future__ import annotations

import pytest

pytest.importorskip("bm25s")

from embedkit.records.documents import Document
from embedkit.retrieval.lexical_cache import default_folder, kept
from embedkit.stores.contract import StoreURL
from embedkit.stores.guarded import GuardedStore
from embedkit.stores.memory import open_store
from helpers.word_rows import write


def test_kept_in_a_folder(rows, tmp_path):
    folder = tmp_path / "deep" / "index"
    first = kept(rows, folder, language="english")
    made = (folder / "lexical.json").stat().st_mtime_ns
    assert kept(rows, folder).language == "english", "none is the one that it has"
    assert (folder / "lexical.json").stat().st_mtime_ns == made
    assert kept(rows, folder).search(["tea"], 60) == first.search(["tea"], 60)
    write(rows, [Document("60", "new")])
    assert (len(kept(rows, folder)), kept(rows, folder).language) == (61, "english")
    assert kept(rows, folder, language="german").language == "german"
    (folder / "ids.json").write_text("")
    assert len(kept(rows, folder)) == 61
    rows.delete(ids=["60"])
    write(rows, [Document("61", "newer")])
    assert not kept(rows, folder).search(["newer"], 1)[0], "the number of rows is the same"
    assert list(kept(rows, folder, rebuild=True).search(["newer"], 1)[0]) == ["61"]


def test_where_it_is_kept(tmp_path, monkeypatch):
    def place(url, collection="docs"):
        return default_folder(GuardedStore(open_store(StoreURL.parse("memory:x")), StoreURL.parse(url)), collection)

    monkeypatch.setenv("EMBEDKIT_CACHE", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    here = place("chroma:index")
    assert here.parent == tmp_path / "lexical"
    assert here == place(f"chroma://{tmp_path}/index") == place("chroma:./index")
    others = [place("chroma:index", "books"), place("lancedb:index"), place("qdrant://h:1"), place("qdrant://h:2")]
    assert len({here, *others}) == 5
