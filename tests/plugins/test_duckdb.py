"""DuckDB in one file, of one process."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import numpy as np
import pytest

from embedkit.errors import CollectionNotFoundError, MissingExtraError, StoreError, StoreURLError
from embedkit.records.filters import F
from embedkit.stores.contract import CollectionSpec, StoreURL
from embedkit.stores.guarded import GuardedStore
from embedkit.testing import StoreTests
from embedkit.testing.samples import DIM, text_batch
from embedkit.vectors.arrays import unit_length

pytest.importorskip("duckdb")
import duckdb

from embedkit_duckdb import open_store
from helpers.writing import SPEC, all_ids, assert_acknowledged, kill_after, rows, writer


def opened(path: Path | str) -> GuardedStore:
    return GuardedStore(open_store(StoreURL.parse(f"duckdb:{path}")))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "new folder" / "index.duckdb"


class TestDuckdb(StoreTests):
    persistent = True

    @pytest.fixture
    def connect(self, tmp_path):
        return lambda: open_store(StoreURL.parse(f"duckdb:{tmp_path}/index.duckdb"))


def test_what_was_acknowledged_survives_a_kill(path):
    last = kill_after(writer("embedkit_duckdb", f"duckdb:{path}"), 60)
    for _ in range(2):  # read from the log, and from the file
        with opened(path) as store:
            assert_acknowledged(store.open(SPEC.name), last)
    with opened(path) as store:
        docs = store.open(SPEC.name)
        docs.upsert(rows("after", 3))
        assert docs.count(F("turn") == "0") == 50


def test_another_process_is_kept_out_and_told(path):
    with opened(path) as store:
        docs = store.ensure(SPEC)
        docs.upsert(rows("a", 3))
        child = writer("embedkit_duckdb", f"duckdb:{path}", turns=1, quiet=True)
        assert child.communicate()[1].count("another process has the file open: close it there") == 1
        assert docs.count() == 3
    child = writer("embedkit_duckdb", f"duckdb:{path}", turns=2)
    child.communicate()
    assert child.returncode == 0
    with opened(path) as store:
        assert store.open(SPEC.name).count() == 103


def test_stores_and_threads_of_one_process_share_the_file(path):
    failures: list[BaseException] = []
    with opened(path) as store, opened(path) as other:
        docs = (store.ensure(SPEC), other.ensure(SPEC))

        def work(worker):
            try:
                for turn in range(15):
                    docs[worker % 2].upsert(rows(f"{worker} {turn}", 4))
                    docs[worker % 2].upsert(rows(f"all {turn}", 2))
                    docs[worker % 2].scan(filter=F("i") == 0, limit=5)
                    (store, other)[worker % 2].ensure(CollectionSpec("shared", 2))
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=work, args=(worker,)) for worker in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        assert docs[0].count() == docs[1].count() == len(set(all_ids(docs[0]))) == 270
        assert store.names() == other.names() == ["docs", "shared"]


def test_a_scan_ends_though_its_rows_are_written_anew(path):
    with opened(path) as store:
        docs = store.ensure(SPEC)
        docs.upsert(rows("a", 50))
        seen, cursor = [], None
        while True:
            page = docs.scan(cursor=cursor, limit=7)
            seen += [record.id for record in page.records]
            docs.upsert(rows("a", 50))
            cursor = page.cursor
            if cursor is None:
                break
        assert seen == rows("a", 50).ids


@pytest.mark.parametrize("metric", ["cosine", "dot", "euclidean"])
def test_nearest_rows_are_those_of_numpy(path, metric):
    vectors = np.random.default_rng(2).normal(size=(3000, DIM)).astype(np.float32)
    with opened(path) as store:
        docs = store.ensure(CollectionSpec("docs", DIM, metric))
        metadata = [{"tenth": i % 10} for i in range(3000)]
        docs.upsert(text_batch([str(i) for i in range(3000)], vectors=vectors, metadata=metadata))
        kept, asked = (unit_length(vectors), unit_length(vectors[:3])) if metric == "cosine" else (vectors, vectors[:3])
        far = np.linalg.norm(kept[None].astype(float) - asked[:, None], axis=2)
        scores = -far if metric == "euclidean" else asked.astype(float) @ kept.T.astype(float)
        for allowed, expression in ((np.arange(3000), None), (np.arange(3, 3000, 10), F("tenth") == 3)):
            for row, hits in zip(scores, docs.query(vectors[:3], 20, filter=expression), strict=True):
                best = allowed[np.argsort(-row[allowed])[:20]]
                assert [int(hit.id) for hit in hits] == best.tolist()
                np.testing.assert_allclose([hit.score for hit in hits], row[best], atol=1e-6)


def test_values_are_filtered_on_exactly(path):
    values = [2**53, 2**53 + 1, 2**63 - 1, -(2**63), 1e300, "a\0b", "a\0c", "a", "\uffff", "🎉", True, 1]
    with opened(path) as store:
        docs = store.ensure(CollectionSpec("docs", DIM))
        fields = [{"x\0'\"": value} for value in values]
        docs.upsert(text_batch([repr(value) for value in values], metadata=fields))
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
            found = {record.id for page in docs.pages(bound) for record in page}
            assert found == {repr(value) for value in expected if value is not True}, bound
        assert [docs.get([repr(value)])[0].metadata for value in values] == fields


def test_a_filter_of_many_values_and_of_many_levels(path):
    with opened(path) as store:
        docs = store.ensure(SPEC)
        docs.upsert(rows("a", 3))
        assert docs.count(F("i").is_in(range(1, 100_000))) == 2
        deep = F("i") == 0
        for level in range(60):
            deep = (~deep | (F("i") == 1)) if level % 2 else (deep & (F("i") < 5))
        assert docs.count(deep) == sum(deep.matches({"i": i, "turn": "a"}) for i in range(3))


def test_a_dropped_collection_leaves_no_table_and_its_name_is_free(path):
    with opened(path) as store:
        docs = store.ensure(SPEC)
        docs.upsert(rows("a", 3))
        store.drop(SPEC.name)
        with pytest.raises(StoreError, match="dropped"):
            docs.count()
        with pytest.raises(CollectionNotFoundError):
            store.open(SPEC.name)
        assert store.ensure(SPEC).count() == 0
    with duckdb.connect(str(path)) as connection:
        tables = [name for (name,) in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()]
        assert len(tables) == 2


def test_other_tables_of_the_file_are_left_alone(path):
    path.parent.mkdir()
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE TABLE theirs AS SELECT 1 AS x")
    with opened(path) as store:
        store.ensure(CollectionSpec("theirs", DIM)).upsert(text_batch(["a"]))
        assert store.names() == ["theirs"]
        store.drop("theirs")
    with duckdb.connect(str(path)) as connection:
        assert connection.execute("SELECT x FROM theirs").fetchall() == [(1,)]


def test_files_that_cannot_be_used(tmp_path):
    (tmp_path / "text").write_text("no database, but long enough to be one " * 500)
    with pytest.raises(StoreError, match="not, or no longer, a DuckDB file"):
        opened(tmp_path / "text")
    assert (tmp_path / "text").read_text().startswith("no database")
    with pytest.raises(StoreError, match="path"):
        opened(tmp_path)
    with pytest.raises(StoreError, match="path"):
        opened(tmp_path / "text" / "index.duckdb")


@pytest.mark.parametrize("raw", [b'{"id": "a", "text": "b"}\n', b"id,text\na,b\n", b"", b"PAR1"])
@pytest.mark.parametrize("name", ["rows.jsonl", "rows.csv", "rows.parquet"])
def test_a_file_of_rows_is_no_store(tmp_path, name, raw):
    """DuckDB opens it as a table, beside a database in memory: what was written there was lost."""
    (tmp_path / name).write_bytes(raw)
    with pytest.raises(StoreError, match="not, or no longer, a DuckDB file"):
        opened(tmp_path / name)
    assert (tmp_path / name).read_bytes() == raw


def test_a_file_that_may_not_be_written():
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "index.duckdb"
        with opened(path) as store:
            store.ensure(SPEC)
        path.chmod(0o444)
        Path(folder).chmod(0o555)
        root = hasattr(os, "geteuid") and os.geteuid() == 0
        try:
            if root:
                os.seteuid(65534)
            with pytest.raises(StoreError, match="writable"):
                opened(path)
        finally:
            if root:
                os.seteuid(0)
            Path(folder).chmod(0o755)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_process_is_told_to_open_its_own(path):
    forked = """
import os, sys
from test_duckdb import *
docs = opened(sys.argv[1]).ensure(SPEC)
if os.fork() == 0:
    try:
        docs.count()
    except StoreError as error:
        os._exit(0 if "open it again in this one" in str(error) else 2)
    os._exit(1)
assert os.waitstatus_to_exitcode(os.wait()[1]) == 0
"""
    env = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([*(path for path in sys.path if path), str(Path(__file__).parent)]),
    }
    assert subprocess.run([sys.executable, "-c", forked, str(path)], env=env, timeout=60).returncode == 0


def test_a_closed_store_says_so(path):
    store = opened(path)
    docs = store.ensure(SPEC)
    store.close()
    store.close()
    with pytest.raises(StoreError, match="closed"):
        docs.count()


@pytest.mark.parametrize("text", ["duckdb:", "duckdb://host/x", "duckdb://:memory:", "duckdb+https:x", "duckdb:x?a=b"])
def test_addresses_that_are_refused(text):
    with pytest.raises(StoreURLError):
        open_store(StoreURL.parse(text))


def test_a_missing_package_names_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(MissingExtraError, match=r"embedkit-onnx\[duckdb\]"):
        opened("index.duckdb")
