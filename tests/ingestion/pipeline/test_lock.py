"""Two ingests at once into one place: the second is refused; a killed one leaves no lock."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from embedkit.errors import CollectionNotFoundError, InputError, StoreError
from embedkit.ingestion.pipeline.lock import one_writer
from embedkit.stores.contract import Capabilities, CollectionSpec, StoreURL
from embedkit.stores.guarded import GuardedStore
from embedkit.stores.memory import open_store as open_memory


class Nothing:
    def __init__(self, *, multi_process: bool) -> None:
        self.caps = Capabilities(multi_process=multi_process)

    def open(self, name: str) -> None:
        raise CollectionNotFoundError(name)


def store(url: str, *, multi_process: bool = False) -> GuardedStore:
    return GuardedStore(Nothing(multi_process=multi_process), StoreURL.parse(url))  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("EMBEDKIT_CACHE", str(tmp_path / "cache"))


HOLD = (
    "import sys, time\n"
    "from embedkit.stores.guarded import GuardedStore\n"
    "from embedkit.ingestion.pipeline.lock import one_writer\n"
    "from embedkit.stores.contract import Capabilities, StoreURL\n"
    "from embedkit.stores.memory import open_store\n"
    "class Nothing:\n"
    "    caps, open = Capabilities(multi_process=False), open_store(StoreURL.parse('memory:none')).open\n"
    "with one_writer(GuardedStore(Nothing(), StoreURL.parse(sys.argv[1])), 'docs'):\n"
    "    print('held', flush=True); time.sleep(60)\n"
)


@pytest.mark.parametrize("url", ["chroma:index", "sqlite-vec:index/rows.db", "chroma://localhost:8000"])
def test_another_process_is_refused_until_the_first_has_ended_however_it_ends(working_folder: Path, url):
    (working_folder / "index").mkdir()
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    holder = subprocess.Popen([sys.executable, "-c", HOLD, url], env=env, stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(StoreError, match=rf"\(process {holder.pid} on .*, since 20.*wait until it has ended"):
        one_writer(store(url), "docs").__enter__()
    holder.kill()
    holder.communicate()
    with one_writer(store(url), "docs"), pytest.raises(StoreError, match=rf"\(process {os.getpid()} on "):
        one_writer(store(url), "docs").__enter__()
    with one_writer(store(url), "docs"):
        pass


def test_nothing_is_left_beside_a_file_of_the_user(working_folder: Path):
    (working_folder / "rows.db").write_text("")
    (working_folder / "link.db").symlink_to("rows.db")
    here = store("sqlite-vec:rows.db", multi_process=True)
    with one_writer(here, "docs"):
        assert sorted(path.name for path in working_folder.iterdir() if path.is_file()) == ["link.db", "rows.db"]
        with one_writer(here, "others"), pytest.raises(StoreError, match="another ingest"):
            one_writer(store("sqlite-vec:./link.db", multi_process=True), "docs").__enter__()
    assert sorted(path.name for path in working_folder.iterdir() if path.is_file()) == ["link.db", "rows.db"]


@pytest.mark.parametrize("url", ["chroma:index", "sqlite-vec:rows.db"])
def test_a_lock_that_is_taken_again_and_again_is_held_by_one_at_a_time(working_folder: Path, url):
    (working_folder / "index").mkdir()
    inside, most, entered = [], [], []

    def take() -> None:
        for _ in range(60):
            try:
                with one_writer(store(url), "docs"):
                    inside.append(1)
                    most.append(len(inside))
                    time.sleep(0.0005)
                    inside.pop()
                    entered.append(1)
            except StoreError:
                time.sleep(0.0005)

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(most) == 1
    assert len(entered) > 4


def test_an_error_in_the_block_frees_the_lock(working_folder: Path):
    (working_folder / "index").mkdir()
    with pytest.raises(OSError, match="of the block"), one_writer(store("chroma:index"), "docs"):
        raise OSError("of the block")
    with one_writer(store("chroma:index"), "docs"):
        pass


def test_threads_and_spellings_of_one_folder(working_folder: Path):
    (working_folder / "index").mkdir()
    refused = []

    def other() -> None:
        try:
            with one_writer(store(f"chroma://{working_folder}/index"), "other"):
                pass
        except StoreError as error:
            refused.append(str(error))

    with one_writer(store("chroma:index"), "docs"):
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert len(refused) == 1
    with one_writer(store("chroma:index"), "docs"):
        pass


def test_collections_of_a_store_for_many_processes_are_written_side_by_side():
    here = store("pgvector://localhost/db", multi_process=True)
    with one_writer(here, "a"), one_writer(here, "b"), pytest.raises(StoreError, match="collection 'a'"):
        one_writer(here, "a").__enter__()


def test_memory_and_a_store_without_an_address_have_no_lock():
    for free in (
        GuardedStore(open_memory(StoreURL.parse("memory:x")), StoreURL.parse("memory:x")),
        store("qdrant://:memory:"),
    ):
        with one_writer(free, "docs"), one_writer(free, "docs"):
            pass
    with one_writer(GuardedStore(Nothing(multi_process=False)), "docs"):  # type: ignore[arg-type]
        pass


def test_a_place_that_cannot_be_written_says_so(working_folder: Path, monkeypatch):
    (working_folder / "file").write_text("")
    monkeypatch.setenv("EMBEDKIT_CACHE", str(working_folder / "file"))
    with pytest.raises(InputError, match="EMBEDKIT_CACHE"):
        one_writer(store("chroma://localhost:8000"), "docs").__enter__()


def test_a_name_that_leads_to_a_collection_is_locked_as_that():
    inner = open_memory(StoreURL.parse("memory:led"))
    inner.caps = Capabilities()  # type: ignore[misc]
    here = GuardedStore(inner, StoreURL.parse("pgvector://localhost/led"))
    for name in ("docs", "new"):
        here.ensure(CollectionSpec(name, 2))
    here.switch("docs", "new")
    with one_writer(here, "docs"), pytest.raises(StoreError, match="collection 'new'"):
        one_writer(here.exact(), "new").__enter__()
    with one_writer(here.exact(), "docs"), one_writer(here, "docs"):
        pass


def test_a_name_that_is_switched_while_its_lock_is_taken_is_locked_as_what_it_became(monkeypatch):
    inner = open_memory(StoreURL.parse("memory:moved"))
    inner.caps = Capabilities()  # type: ignore[misc]
    here = GuardedStore(inner, StoreURL.parse("pgvector://localhost/moved"))
    for name in ("docs", "new"):
        here.ensure(CollectionSpec(name, 2))
    exact, answers = here.exact(), iter(["docs"])
    monkeypatch.setattr(here, "resolve", lambda name: next(answers, "new"))
    with one_writer(here, "docs"):
        with one_writer(exact, "docs"):
            pass
        with pytest.raises(StoreError, match="collection 'new'"):
            one_writer(exact, "new").__enter__()


def test_several_at_once_are_held_together_once_where_a_store_has_one_lock(working_folder: Path):
    (working_folder / "index").mkdir()
    with one_writer(store("chroma:index"), "a", "b"), pytest.raises(StoreError, match="another ingest"):
        one_writer(store("chroma:index"), "c").__enter__()
    many = store("pgvector://localhost/db", multi_process=True)
    with one_writer(many, "b"), pytest.raises(StoreError, match="collection 'b'"):
        one_writer(many, "a", "b").__enter__()
    with one_writer(many, "a"), one_writer(many, "b"):
        pass
