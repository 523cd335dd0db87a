"""Names that lead to collections: kept in real stores, seen by other connections, never between two collections."""

from __future__ import annotations

import subprocess
import sys
import threading
import uuid

import pytest

from embedkit.errors import CollectionNotFoundError, InputError, StoreError
from embedkit.stores.contract import CollectionSpec, StoreURL
from embedkit.stores.guarded import GuardedStore
from embedkit.stores.guarding.aliases import KEPT_IN, Alias, Aliases
from embedkit.stores.memory import open_store as open_memory
from embedkit.stores.opening import open_store
from embedkit.testing.samples import DIM, ODD_NAMES, text_batch
from helpers import slow


@pytest.fixture
def store() -> GuardedStore:
    made = GuardedStore(open_memory(StoreURL.parse(f"memory:{uuid.uuid4()}")))
    for name in ("a", "b", "c"):
        made.ensure(CollectionSpec(name, DIM)).upsert(text_batch(["row"], texts=[name]))
    return made


def text(store: GuardedStore, name: str) -> str:
    return store.open(name).get(["row"])[0].text


def test_what_a_name_led_to_is_remembered_once():
    alias = Alias("docs", "docs").led("new").led("newer").led("new")
    assert alias == Alias("docs", "new", ("docs", "newer"))
    assert Alias("docs", "docs").led("docs") == Alias("docs", "docs")


def test_no_alias_costs_no_collection(store):
    assert (store.aliases(), store.resolve("a"), store.resolve("nothing")) == ([], "a", "nothing")
    assert store.inner.names() == ["a", "b", "c"]
    store.drop("a")
    assert store.inner.names() == ["b", "c"]


def test_the_collection_of_aliases_is_not_for_users(store):
    store.switch("x", "a")
    assert store.names() == ["a", "b", "c", "x"]
    assert store.exact().names() == ["a", "b", "c"]
    for act in (store.open, store.drop, lambda name: store.ensure(CollectionSpec(name, 2))):
        with pytest.raises(InputError, match="take another"):
            act(KEPT_IN)
    with pytest.raises(CollectionNotFoundError, match=r"there are: a, b, c$"):
        store.exact().open("z")


def test_a_switch_to_nothing_changes_nothing(store):
    store.switch("x", "a")
    with pytest.raises(CollectionNotFoundError, match="no collection 'z'; there are: a, b, c"):
        store.switch("x", "z")
    with pytest.raises(InputError):
        store.switch("", "a")
    assert (text(store, "x"), store.aliases()) == ("a", [Alias("x", "a")])


def test_back_and_forth(store):
    with pytest.raises(CollectionNotFoundError, match="nothing to go back to"):
        store.switch_back("a")
    store.switch("a", "b")
    assert store.switch_back("a") == Alias("a", "a", ("b",))
    assert store.switch_back("a") == Alias("a", "b", ("a",))
    store.exact().drop("a")
    with pytest.raises(CollectionNotFoundError):
        store.switch_back("a")
    assert text(store, "a") == "b"


def test_what_another_name_leads_to_is_dropped_by_nobody(store):
    store.switch("x", "a")
    store.switch("y", "a")
    store.switch("y", "b")
    for name in ("a", "y"):
        with pytest.raises(StoreError, match="'x' leads to it"):
            store.drop(name)
    with pytest.raises(StoreError, match="'x' leads to it"):
        store.exact().drop("a")
    assert store.drop_former("y") == ()
    assert store.drop_former("nothing") == ()
    assert (text(store, "x"), text(store, "y")) == ("a", "b")


def test_a_replaced_collection_is_that_to_which_the_name_leads(store):
    store.switch("a", "b")
    assert store.ensure(CollectionSpec("a", 3), if_exists="replace").info.dim == 3
    assert (store.open("b").info.dim, store.exact().open("a").info.dim) == (3, DIM)


def test_names_of_any_kind_and_many_of_them(store):
    names = [*ODD_NAMES, "x" * 3000, *(f"n{i}" for i in range(1100))]
    for name in names:
        Aliases(store.inner).put(Alias(name, "a"))
    assert [alias.name for alias in store.aliases()] == sorted(names)
    assert all(text(store, name) == "a" for name in names[:40])


URLS = {"sqlite-vec": "sqlite_vec", "lancedb": "lancedb", "chroma": "chromadb", "qdrant": "qdrant_client"}
URLS |= {"qdrant-edge": "qdrant_edge", "milvus": "milvus_lite"}


@pytest.mark.parametrize("scheme", slow.but({"sqlite-vec", "lancedb", "qdrant-edge"}, URLS))
def test_a_name_leads_on_after_the_process_has_ended(scheme, tmp_path, monkeypatch, entry_points):
    pytest.importorskip(URLS[scheme])
    monkeypatch.chdir(tmp_path)
    program = (
        "import sys\nfrom embedkit.stores.opening import open_store\nfrom embedkit.stores.contract import CollectionSpec\n"
        "store = open_store(sys.argv[1])\nfor name in ('old', 'new'): store.ensure(CollectionSpec(name, 2))\n"
        "store.switch('old', 'new')\nimport os; os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, f"{scheme}:index"],
        env={"PYTHONPATH": ":".join(sys.path), "HOME": str(tmp_path), "PATH": ""},
        capture_output=True,
        text=True,
    )
    assert done.returncode == -9, done.stderr
    with open_store(f"{scheme}:index") as store:
        assert (store.resolve("old"), store.open("old").info.name) == ("new", "new")
        assert store.switch_back("old").collection == "old"


def test_readers_meet_the_one_or_the_other_while_a_name_is_switched(tmp_path, entry_points):
    pytest.importorskip("sqlite_vec")
    url, stop, seen = f"sqlite-vec:{tmp_path}/rows.db", threading.Event(), []
    with open_store(url) as store:
        for name in ("docs", "new"):
            store.ensure(CollectionSpec(name, 2))
        store.switch("docs", "docs")

    def read() -> None:
        with open_store(url) as other:
            while not stop.is_set():
                seen.append(other.open("docs").info.name)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    with open_store(url) as store:
        for _ in range(20):
            store.switch("docs", "new")
            store.switch_back("docs")
    stop.set()
    for reader in readers:
        reader.join()
    assert seen
    assert set(seen) <= {"docs", "new"}
