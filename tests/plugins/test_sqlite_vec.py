"""sqlite-vec in one file, of one process and of several."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import numpy as np
import pytest

from embedkit.errors import MissingExtraError, StoreError, StoreURLError, TransientStoreError
from embedkit.records.batch import RecordBatch
from embedkit.records.filters import F
from embedkit.stores.contract import CollectionSpec, StoreURL
from embedkit.stores.guarded import GuardedStore
from embedkit.testing import StoreTests

pytest.importorskip("sqlite_vec")
from embedkit_sqlite_vec import _database, open_store


def opened(path: Path | str) -> GuardedStore:
    return GuardedStore(open_store(StoreURL.parse(f"sqlite-vec:{path}")))


def rows(ids, vectors=None, metadata=None):
    vectors = np.ones((len(ids), 2), np.float32) if vectors is None else vectors
    metadata = [{"n": n} for n in range(len(ids))] if metadata is None else metadata
    return RecordBatch(ids, vectors, [f"text {i}" for i in ids], metadata, ["h"] * len(ids))


def child(code: str, *arguments: object) -> subprocess.Popen[str]:
    code = "import sys\nfrom test_sqlite_vec import *\n" + code
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, env=env, cwd=Path(__file__).parent, stdout=subprocess.PIPE, text=True)


class TestSqliteVec(StoreTests):
    persistent = True

    @pytest.fixture
    def connect(self, tmp_path):
        return lambda: open_store(StoreURL.parse(f"sqlite-vec:{tmp_path}/index.db"))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "new folder" / "index.db"


def test_acknowledged_rows_survive_a_killed_writer(path):
    write = """
docs = opened(sys.argv[1]).ensure(CollectionSpec("docs", 2))
for turn in range(100_000):
    docs.upsert(rows([f"{turn} {i}" for i in range(20)]))
    print(turn, flush=True)
"""
    with child(write, path) as writer:
        assert writer.stdout is not None
        lines = [writer.stdout.readline() for _ in range(30)]
        writer.kill()
        lines += writer.stdout.readlines()
    acknowledged = [int(line) for line in lines if line.endswith("\n")]
    with opened(path) as store:
        docs = store.open("docs")
        assert docs.count() % 20 == 0
        assert len(docs.get([f"{turn} {i}" for turn in acknowledged for i in range(20)])) == 20 * len(acknowledged)
        assert docs.count(F("n") == 7) == docs.count() // 20
        docs.upsert(rows(["after"]))


def test_several_processes_make_and_write_one_file(path):
    write = """
with opened(sys.argv[1]) as store:
    docs = store.ensure(CollectionSpec("docs", 2))
    for turn in range(20):
        docs.upsert(rows([f"{sys.argv[2]} {turn} {i}" for i in range(10)] + ["shared"]))
        assert docs.count() >= 11
"""
    writers = [child(write, path, number) for number in range(3)]
    assert [writer.wait(120) for writer in writers] == [0, 0, 0]
    with opened(path) as store:
        assert store.open("docs").count() == 601
        assert store.open("docs").count(F("n") == 10) == 1


def test_several_threads_share_a_store(path):
    failures: list[BaseException] = []
    with opened(path) as store:
        docs = store.ensure(CollectionSpec("docs", 2))

        def work(worker):
            try:
                for turn in range(20):
                    docs.upsert(rows([f"{worker} {turn}"]))
                    docs.scan(filter=F("n") == 0, limit=5)
                    store.ensure(CollectionSpec(f"own {worker}", 2))
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=work, args=(worker,)) for worker in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (failures, docs.count(), len(store.names())) == ([], 80, 5)


def test_a_scan_ends_though_its_rows_are_written_anew(path):
    with opened(path) as store:
        docs = store.ensure(CollectionSpec("docs", 2))
        docs.upsert(rows([str(i) for i in range(50)]))
        seen, cursor = [], None
        while True:
            page = docs.scan(cursor=cursor, limit=7)
            seen += [record.id for record in page.records]
            docs.upsert(rows([record.id for record in page.records]))
            cursor = page.cursor
            if cursor is None:
                break
        assert seen == [str(i) for i in range(50)]


@pytest.mark.parametrize("metric", ["cosine", "dot", "euclidean"])
def test_more_nearest_rows_than_a_virtual_table_gives(path, metric):
    vectors = np.random.default_rng(2).normal(size=(5000, 3)).astype(np.float32)
    with opened(path) as store:
        docs = store.ensure(CollectionSpec("docs", 3, metric))
        docs.upsert(rows([str(i) for i in range(5000)], vectors))
        hits = docs.query(vectors[:1], 4500, filter=F("n") < 4990)[0]
        assert len({hit.id for hit in hits}) == 4500
        assert all(a.score >= b.score for a, b in itertools.pairwise(hits))
        own = {"cosine": 1.0, "dot": float(vectors[0] @ vectors[0]), "euclidean": 0.0}[metric]
        assert {hit.id: hit.score for hit in hits}["0"] == pytest.approx(own, abs=1e-6)


def test_values_are_filtered_on_exactly(path):
    values = [2**53, 2**53 + 1, 2**63 - 1, -(2**63), 1e300, "a\0b", "a\0c", "a", "\uffff", "🎉", True, 1]
    with opened(path) as store:
        docs = store.ensure(CollectionSpec("docs", 2))
        fields = [{"x\0'\"": value} for value in values]
        docs.upsert(rows([repr(value) for value in values], metadata=fields))
        field = F("x\0'\"")
        for value in values:
            assert [record.id for record in docs.scan(filter=field == value).records] == [repr(value)]
        for bound, expected in [
            (field > 2**53, {2**53 + 1, 2**63 - 1, 1e300}),
            (field < 2**53 + 1, {2**53, -(2**63), 1}),
            (field > "a\0b", {"a\0c", "\uffff", "🎉"}),
            (field > "\uffff", {"🎉"}),
            (field <= "a\0b", {"a", "a\0b"}),
        ]:
            found = {record.id for record in docs.scan(filter=bound).records}
            assert found == {repr(value) for value in expected if value is not True}, bound
        assert [docs.get([repr(value)])[0].metadata for value in values] == fields


def test_no_field_is_left_behind(path):
    with opened(path) as store:
        docs = store.ensure(CollectionSpec("docs", 2))
        docs.upsert(rows([str(i) for i in range(10)]))
        docs.upsert(rows([str(i) for i in range(10)], metadata=[{"other": i} for i in range(10)]))
        docs.delete(filter=F("other") >= 5)
        docs.delete(ids=["0"])
        with store.inner._database.transaction("looking") as using:
            assert using.execute("SELECT field, value FROM embedkit_fields_1").fetchall() == [
                ("other", i) for i in range(1, 5)
            ]
        store.drop("docs")
        with store.inner._database.transaction("looking") as using:
            assert using.execute("SELECT count(*) FROM sqlite_master WHERE name LIKE 'embedkit_%_1%'").fetchone() == (
                0,
            )


def test_a_locked_database_is_waited_for_and_then_reported(path, monkeypatch):
    monkeypatch.setattr(_database, "WAIT_SECONDS", 0.2)
    hold = """
store = opened(sys.argv[1])
with store.inner._database.transaction("holding", write=True):
    print("held", flush=True)
    threading.Event().wait(60)
"""
    with opened(path) as store:
        docs = store.ensure(CollectionSpec("docs", 2))
        with child(hold, path) as holder:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "held\n"
            with pytest.raises(TransientStoreError, match="another process"):
                docs.upsert(rows(["a"]))
            assert docs.count() == 0
            holder.kill()
        assert docs.upsert(rows(["a"])).written == 1


def test_a_full_disk_costs_no_row_that_was_written(path):
    with opened(path) as store:
        docs = store.ensure(CollectionSpec("docs", 2))
        docs.upsert(rows(["kept"]))
        with store.inner._database.transaction("limiting") as using:
            (pages,) = using.execute("PRAGMA page_count").fetchone()
            using.execute(f"PRAGMA max_page_count = {pages + 1}")
        with pytest.raises(StoreError, match="make room") as full:
            docs.upsert(rows([str(i) for i in range(5000)]))
        assert not isinstance(full.value, TransientStoreError)
        assert [record.id for record in docs.scan().records] == ["kept"]
        assert docs.count(F("n") >= 0) == 1


def test_files_that_cannot_be_used(tmp_path):
    (tmp_path / "text").write_text("no database, but long enough to be one " * 100)
    with pytest.raises(StoreError, match="not, or no longer, an SQLite file"):
        opened(tmp_path / "text")
    assert (tmp_path / "text").read_text().startswith("no database")
    with pytest.raises(StoreError, match="path"):
        opened(tmp_path)
    with pytest.raises(StoreError, match="path"):
        opened(tmp_path / "text" / "index.db")
    connection = _database.sqlite.connect(str(tmp_path / "wide"))
    connection.execute("PRAGMA encoding = 'UTF-16le'")
    connection.execute("CREATE TABLE theirs (x)")
    connection.close()
    with pytest.raises(StoreError, match="UTF-16"):
        opened(tmp_path / "wide")


def test_a_file_that_may_not_be_written(monkeypatch):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "index.db"
        with opened(path) as store:
            store.ensure(CollectionSpec("docs", 2))
        path.chmod(0o444)
        Path(folder).chmod(0o555)
        root = hasattr(os, "geteuid") and os.geteuid() == 0
        try:
            if root:
                os.seteuid(65534)
            with pytest.raises(StoreError, match="writable|permissions"):
                opened(path)
        finally:
            if root:
                os.seteuid(0)
            Path(folder).chmod(0o755)


def test_other_tables_of_the_file_are_left_alone(path):
    path.parent.mkdir()
    connection = _database.sqlite.connect(str(path))
    connection.execute("CREATE TABLE theirs (x)")
    connection.execute("INSERT INTO theirs VALUES (1)")
    connection.commit()
    connection.close()
    with opened(path) as store:
        store.ensure(CollectionSpec("theirs", 2)).upsert(rows(["a"]))
        assert store.names() == ["theirs"]
        store.drop("theirs")
        with store.inner._database.transaction("looking") as using:
            assert using.execute("SELECT x FROM theirs").fetchall() == [(1,)]


def test_a_filter_of_more_values_than_sqlite_takes(path):
    with opened(path) as store:
        docs = store.ensure(CollectionSpec("docs", 2))
        docs.upsert(rows(["a"]))
        assert docs.count(F("n").is_in(range(20_000))) == 1
        assert docs.count(F("n").is_in(range(300_000))) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_process_is_told_to_open_its_own(path):
    forked = """
import os
store = opened(sys.argv[1])
docs = store.ensure(CollectionSpec("docs", 2))
if os.fork() == 0:
    try:
        docs.count()
    except StoreError as error:
        os._exit(0 if "open it again in this one" in str(error) else 2)
    os._exit(1)
assert os.waitstatus_to_exitcode(os.wait()[1]) == 0
"""
    assert child(forked, path).wait(60) == 0


def test_a_closed_store_says_so(path):
    store = opened(path)
    docs = store.ensure(CollectionSpec("docs", 2))
    store.close()
    store.close()
    with pytest.raises(StoreError, match="closed"):
        docs.count()


@pytest.mark.parametrize(
    "text",
    ["sqlite-vec:", "sqlite-vec://host/x", "sqlite-vec://:memory:", "sqlite-vec+https:x", "sqlite-vec:x?mode=ro"],
)
def test_addresses_that_are_refused(text):
    with pytest.raises(StoreURLError):
        open_store(StoreURL.parse(text))


def test_importing_the_plugin_is_light_and_a_missing_package_names_its_extra(monkeypatch):
    code = "import sys, embedkit_sqlite_vec; assert not {'sqlite_vec', 'sqlite3', 'pysqlite3'} & set(sys.modules)"
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    subprocess.run([sys.executable, "-c", code], check=True, env=env)
    monkeypatch.setitem(sys.modules, "sqlite_vec", None)
    with pytest.raises(MissingExtraError, match=r"embedkit-onnx\[sqlite-vec\]"):
        opened("index.db")
