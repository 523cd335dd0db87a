"""LanceDB in a folder."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from embedkit.errors import CollectionNotFoundError, FilterError, MissingExtraError, StoreError, StoreURLError
from embedkit.records.batch import RecordBatch
from embedkit.records.filters import F
from embedkit.stores.contract import CollectionSpec, StoreURL
from embedkit.stores.guarded import GuardedStore
from embedkit.testing import StoreTests
from embedkit.vectors.arrays import unit_length

pytest.importorskip("lancedb")
from embedkit_lancedb import _store, open_store
from helpers import slow
from helpers.writing import SPEC, all_ids, assert_acknowledged, kill_after, rows, writer


def opened(folder) -> GuardedStore:
    return GuardedStore(open_store(StoreURL.parse(f"lancedb:{folder}")))


class TestLancedb(StoreTests):
    persistent = True

    @pytest.fixture
    def connect(self, tmp_path):
        return lambda: open_store(StoreURL.parse(f"lancedb:{tmp_path}/index"))


@slow.another_form
class TestLancedbIndexed(TestLancedb):
    """The same with indexes of everything, which each write brings up to date."""

    @pytest.fixture(autouse=True)
    def _index_always(self, monkeypatch):
        monkeypatch.setattr(_store, "INDEX_FROM_ROWS", 1)
        monkeypatch.setattr(_store.LancedbCollection, "_merge_fragments", lambda docs, _: docs.flush())


def test_what_was_acknowledged_survives_a_kill(tmp_path):
    last = kill_after(writer("embedkit_lancedb", f"lancedb:{tmp_path}"), 40)
    with opened(tmp_path) as store:
        docs = store.ensure(SPEC)
        assert_acknowledged(docs, last)
        docs.flush()
        docs.upsert(rows("after", 3))
        assert_acknowledged(docs, last)


@pytest.mark.parametrize("indexed", slow.but([True], [False, True]))
def test_processes_that_write_the_same_new_rows_make_no_duplicates(tmp_path, monkeypatch, indexed):
    monkeypatch.setattr(_store, "INDEX_FROM_ROWS", 1)
    with opened(tmp_path) as store:
        docs = store.ensure(SPEC)
        if indexed:
            docs.upsert(rows("0", 50))
            docs.flush()
            assert "id" in {index.columns[0] for index in docs.inner._table.list_indices()}
        children = [writer("embedkit_lancedb", f"lancedb:{tmp_path}", turns=40) for _ in range(2)]
        seen = 0
        while any(child.poll() is None for child in children):
            assert docs.count() >= seen
            seen = docs.count()
        for child in children:
            child.communicate()
        assert [child.returncode for child in children] == [0, 0]
        ids = all_ids(docs)
        assert len(ids) == len(set(ids)) == docs.count() == 40 * 50
        assert_acknowledged(docs, 39)


def test_writers_and_merging_at_the_same_time(tmp_path):
    """Merging fragments moves rows that another process replaces."""
    with opened(tmp_path) as store:
        docs = store.ensure(SPEC)
        docs.upsert(rows("0", 50))
        child = writer("embedkit_lancedb", f"lancedb:{tmp_path}", turns=60)
        while child.poll() is None:
            docs.flush()
        child.communicate()
        assert child.returncode == 0
        assert_acknowledged(docs, 59)


def test_fragments_are_merged_while_rows_are_written(tmp_path):
    with opened(tmp_path) as store:
        docs = store.ensure(SPEC)
        for turn in range(100):
            docs.upsert(rows(str(turn), 5))
        assert docs.inner._table.stats()["fragment_stats"]["num_fragments"] < 60
        assert_acknowledged(docs, 99, size=5)
        docs.flush()
        assert docs.inner._table.stats()["fragment_stats"]["num_fragments"] == 1
        assert_acknowledged(docs, 99, size=5)


@pytest.mark.parametrize("metric", ["cosine", "dot", "euclidean"])
def test_a_large_collection_is_searched_by_its_index(tmp_path, monkeypatch, metric):
    monkeypatch.setattr(_store, "INDEX_FROM_ROWS", 1_000)
    rng = np.random.default_rng(0)
    vectors = (rng.normal(size=(6_000, 6)) @ rng.normal(size=(6, 32))).astype(np.float32)
    asked, batches = vectors[:20] + 0.1, range(0, 6_000, 500)
    with opened(tmp_path) as store:
        docs = store.ensure(CollectionSpec("many", 32, metric))
        for start in batches:
            ids = [str(i) for i in range(start, start + 500)]
            columns = [""] * 500, [{"tenth": int(row_id) % 10, "only": row_id} for row_id in ids], [""] * 500
            docs.upsert(RecordBatch(ids, vectors[start : start + 500], *columns))
        docs.flush()
        assert {index.columns[0] for index in docs.inner._table.list_indices()} == {"id", "terms", "vector"}
        kept, of = (unit_length(vectors), unit_length(asked)) if metric == "cosine" else (vectors, asked)
        scores = -np.linalg.norm(of[:, None] - kept[None], axis=2) if metric == "euclidean" else of @ kept.T
        for allowed, expression in ((np.arange(6_000), None), (np.arange(3, 6_000, 10), F("tenth") == 3)):
            found = docs.query(asked, 10, filter=expression)
            same = 0
            for row, hits in zip(scores, found, strict=True):
                best = allowed[np.argsort(-row[allowed])[:10]]
                same += len({int(hit.id) for hit in hits} & set(best.tolist()))
                np.testing.assert_allclose(
                    [hit.score for hit in hits], row[[int(hit.id) for hit in hits]], rtol=1e-4, atol=1e-4
                )
            assert same >= 0.95 * 200
        assert len(docs.query(asked[:1], 6_000)[0]) == 6_000
        assert len(docs.query(asked[:1], 10**9, filter=F("tenth") == 3)[0]) == 600
        assert [hit.id for hit in docs.query(asked[:1], 5, filter=F("only") == "4321")[0]] == ["4321"]
        docs.upsert(RecordBatch(["new"], vectors[:1] * 9, ["t"], [{"tenth": 3}], ["h"]))
        assert "new" in {hit.id for hit in docs.query(vectors[:1] * 9, 5, filter=F("tenth") == 3)[0]}
        assert docs.count(F("tenth") == 3) == 601
        assert docs.count(F("tenth") != 3) == 5_400
        docs.delete(filter=F("tenth") == 3)
        assert docs.query(asked[:1], 10, filter=F("tenth") == 3) == [[]]
        assert docs.count() == 5_400


def test_an_index_of_many_parts_is_made_anew(tmp_path, monkeypatch):
    monkeypatch.setattr(_store, "INDEX_FROM_ROWS", 100)
    with opened(tmp_path) as store:
        docs = store.ensure(SPEC)
        parts = []
        for turn in range(10):
            docs.upsert(rows(str(turn), 200))
            docs.flush()
            parts.append(docs.inner._table.index_stats("vector_idx").num_indices)
        assert 1 < max(parts) <= 6
        assert parts.count(1) > 1
        for turn, row in (("7", 3), ("0", 0), ("9", 199)):
            vector = rows(turn, 200).vectors[row]
            hits = docs.query(vector[None], 2_000)[0]
            assert len({hit.id for hit in hits}) == 2_000
            (own,) = [hit for hit in hits if hit.id == f"{turn} {row}"]
            assert own.score == pytest.approx(float(vector @ vector), 1e-5)


def test_fragments_are_merged_without_the_index_of_the_terms_which_a_flush_makes_again(tmp_path, monkeypatch):
    monkeypatch.setattr(_store, "INDEX_FROM_ROWS", 100)

    def indexed():
        return sorted(column for index in docs.inner._table.list_indices() for column in index.columns)

    with opened(tmp_path) as store:
        docs = store.ensure(SPEC)
        docs.upsert(rows("first", 200))
        docs.flush()
        assert indexed() == ["id", "terms", "vector"]
        for turn in range(40):
            docs.upsert(rows(str(turn), 5))
        assert indexed() == ["id", "vector"]
        assert docs.count(F("i") == 3) == 41
        docs.flush()
        assert indexed() == ["id", "terms", "vector"]
        assert docs.count(F("i") == 3) == 41


def test_a_collection_that_another_process_dropped(tmp_path):
    with opened(tmp_path) as one, opened(tmp_path) as other:
        docs = one.ensure(SPEC)
        docs.upsert(rows("a", 3))
        other.drop(SPEC.name)
        acts = [
            lambda: docs.upsert(rows("b", 3)),
            lambda: docs.get(["a 0"]),
            lambda: docs.hashes(["a 0"]),
            lambda: docs.query(np.ones((1, SPEC.dim)), 1),
            lambda: docs.scan(),
            lambda: docs.count(),
            lambda: docs.delete(filter=F("i") == 1),
            lambda: docs.flush(),
        ]
        for act in acts:
            with pytest.raises(CollectionNotFoundError, match=r"'docs'.*create it anew"):
                act()
        assert one.names() == []


def test_a_folder_that_a_kill_left_half_made(tmp_path):
    (tmp_path / "half.lance" / "data").mkdir(parents=True)
    with opened(tmp_path) as store:
        assert store.names() == []
        with pytest.raises(CollectionNotFoundError):
            store.open("half")
        assert store.ensure(CollectionSpec("half", 2)).count() == 0
        assert store.names() == ["half"]


def test_a_foreign_table_is_left_alone(tmp_path):
    with opened(tmp_path) as store:
        store.inner.require_open().create_table("foreign", [{"x": 1}])
        assert store.names() == []
        for act in (lambda: store.open("foreign"), lambda: store.ensure(CollectionSpec("foreign", 4))):
            with pytest.raises(StoreError, match="not made by embedkit"):
                act()
        assert store.inner.require_open().open_table("foreign").count_rows() == 1


def test_field_names_and_values_never_leave_their_quotes(tmp_path):
    odd = [
        "'",
        "''",
        "\\",
        "\\'",
        "a\0b",
        "\n",
        "--",
        "' OR true --",
        "$1",
        "{}",
        "?",
        "%",
        "`",
        '"',
        "é🎉",
        "/*",
        "x" * 5_000,
    ]
    with opened(tmp_path) as store:
        docs = store.ensure(CollectionSpec("odd", 2))
        columns = [""] * len(odd), [{value: value} for value in odd], [""] * len(odd)
        docs.upsert(RecordBatch([str(i) for i in range(len(odd))], np.ones((len(odd), 2), np.float32), *columns))
        for i, value in enumerate(odd):
            for expression in (F(value) == value, F(value).exists(), F(value) >= value, F(value).is_in([value, 1])):
                assert [record.id for record in docs.scan(filter=expression).records] == [str(i)]
            if "\0" not in value:  # which no id has
                assert docs.delete(ids=[value]) == 0


def test_nesting_has_a_limit_that_is_said(tmp_path):
    with opened(tmp_path) as store:
        docs = store.ensure(SPEC)
        expression = F("x") == 0
        for n in range(30):
            expression = ~((expression & (F("y") != n)) | (F("z") > n))
        assert docs.count(expression) == 0
        wide = F("x") == 0
        for n in range(200):
            wide = wide | (F("x") == n)
        assert docs.count(wide) == 0
        for n in range(30):
            expression = ~((expression & (F("y") != n)) | (F("z") > n))
        with pytest.raises(FilterError, match="nested 181 levels deep, at most 100"):
            docs.count(expression)


def test_a_folder_that_cannot_be_one(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="permissions"):
        opened(tmp_path / "file")


@pytest.mark.parametrize("text", ["lancedb:", "lancedb://", "lancedb://host", "lancedb+s3:index", "lancedb://:memory:"])
def test_addresses_that_are_refused(text):
    with pytest.raises(StoreURLError, match="lancedb:PATH"):
        open_store(StoreURL.parse(text))


def test_a_closed_store_says_so(tmp_path):
    store = opened(tmp_path)
    docs = store.ensure(SPEC)
    store.close()
    store.close()
    for act in (docs.count, store.names, lambda: docs.upsert(rows("a", 1))):
        with pytest.raises(StoreError, match="closed"):
            act()


def test_importing_the_plugin_is_light_and_a_missing_client_names_its_extra(monkeypatch):
    code = "import sys, embedkit_lancedb; assert not {'lancedb', 'pyarrow', 'torch'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
    monkeypatch.setitem(sys.modules, "lancedb", None)
    with pytest.raises(MissingExtraError, match=r"embedkit-onnx\[lancedb\]"):
        open_store(StoreURL.parse("lancedb:index"))


GROWING = """
import sys
import numpy as np
from embedkit.records.batch import RecordBatch
from embedkit.stores.contract import CollectionSpec
from embedkit.stores.opening import open_store

def peak():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")) // 1024

with open_store(sys.argv[1]) as store:
    docs = store.ensure(CollectionSpec("docs", 1536, "cosine", "f"))
    vectors = np.random.default_rng(0).standard_normal((1000, 1536), dtype=np.float32)
    for part in range(70):
        ids = [f"{part}-{i}" for i in range(1000)]
        docs.upsert(RecordBatch(ids, vectors, ids, [{}] * 1000, ids))
        if part == 20:
            print(peak())
    print(peak())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")
def test_memory_levels_off_where_fragments_are_merged(tmp_path, entry_points):
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "LANCE_"))}
    environment["PYTHONPATH"] = os.pathsep.join(sys.path)
    command = [sys.executable, "-c", GROWING, f"lancedb:{tmp_path}/index"]
    found = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
    early, late = map(int, found.split())
    written = 70 * 1000 * 1536 * 4 >> 20
    assert late < early + written / 3, "all vectors were in memory at a time"
