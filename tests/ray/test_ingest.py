"""Rows of a data set into a real store, by the workers of a real cluster on this machine."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from embedkit.encoders.encoder import Encoder
from embedkit.errors import BundleError, CollectionMismatchError, OptionError, StoreError, WorkerError
from embedkit.ingestion import Chunking
from embedkit.ingestion.distributed.bundle_ref import BundleRef
from embedkit.testing.tiny import tiny_bundle
from helpers.cluster_rows import rows, stored

pytestmark = pytest.mark.ray


def test_it_is_equal_to_an_ingest_of_one_process_row_for_row_and_byte_for_byte(run, alone, url):
    given = rows(300)
    report = run(given)
    assert (report.read, report.written, report.encoded, report.dead) == (300, 300, 300, 0)
    assert sum(about["rows"] for about in report.nodes.values()) == 300
    assert stored(url) == alone(given)
    again = run(given)
    assert (again.read, again.unchanged, again.encoded, again.written) == (300, 300, 0, 0)


def test_a_sync_deletes_what_the_data_set_has_not_and_dead_rows_are_spared(run, url, tmp_path):
    import ray.data

    run(rows(60))
    report = run(rows(40, d7=" "), sync=True, dead_letters=str(tmp_path / "dead"))
    assert (report.deleted, report.unchanged, report.dead, report.conflicting) == (20, 39, 1, 0)
    assert set(stored(url)) == {f"d{i}" for i in range(40)}
    letters = ray.data.read_parquet(str(tmp_path / "dead")).take_all()
    assert [(row["id"], "whitespace" in row["reason"]) for row in letters] == [("d7", True)]


def test_chunks_are_made_by_the_workers_and_shrink_across_runs(run, url):
    long = run([{"id": f"d{i}", "text": "some words " * 20} for i in range(6)], chunking=Chunking(size=20))
    short = run([{"id": f"d{i}", "text": "some words " * 3} for i in range(6)], chunking=Chunking(size=20))
    assert long.written > short.written > 0
    assert len(stored(url)) == short.written == long.written - short.removed


def test_two_jobs_on_one_collection_one_is_refused(cluster, run, url):
    import ray
    from embedkit.ray.worker import lease

    refused = []

    def second(report):
        if not refused:
            with pytest.raises(StoreError) as error:
                run(rows(10, first=5000))
            refused.append(str(error.value))

    run(rows(100), on_progress=second)
    assert "another ingest" in refused[0]
    with lease("key", "it"), pytest.raises(StoreError, match="another ingest of this cluster"), lease("key", "it"):
        pass
    with lease("key", "it"):
        assert ray.is_initialized()
    assert set(stored(url)) == {f"d{i}" for i in range(100)}


def test_a_node_that_cannot_take_part_is_named_before_anything_is_written(run, url, bundle, tmp_path, monkeypatch):
    other = tiny_bundle(tmp_path / "other", seed=4)
    real = BundleRef.of(Encoder.load(bundle).bundle)
    monkeypatch.setattr(BundleRef, "of", classmethod(lambda cls, found: replace(real, path=str(other))))
    with pytest.raises(WorkerError, match=r"(?s)nodes cannot take part.*found another bundle"):
        run(rows(10), send_bundle=False)
    assert stored(url) == {}


def test_a_bundle_that_only_the_driver_has_is_sent(run, url, bundle, alone, tmp_path, monkeypatch):
    real = BundleRef.of(Encoder.load(bundle).bundle)
    monkeypatch.setattr(BundleRef, "of", classmethod(lambda cls, found: replace(real, path=str(tmp_path / "nowhere"))))
    assert run(rows(30)).written == 30
    assert stored(url) == alone(rows(30))


def test_what_does_not_fit_is_refused_before_anything_is_begun(run, tmp_path):
    with pytest.raises(StoreError, match="one process alone"):
        run(rows(1), store="memory:x")
    with pytest.raises(OptionError, match="workers"):
        run(rows(1), workers=(3, 2))
    with pytest.raises(BundleError):
        run(rows(1), bundle=tmp_path / "nothing")
    run(rows(5))
    with pytest.raises(CollectionMismatchError):
        run(rows(1), bundle=tiny_bundle(tmp_path / "b", seed=8))


def test_driver_and_object_store_stay_small(run):
    import ray.data
    from ray._private.internal_api import memory_summary

    count = int(os.environ.get("EMBEDKIT_RAY_ROWS", "3000"))
    store, driver = [], []

    def look(report):
        text = memory_summary(stats_only=True)
        store.extend(float(part.split(" MiB")[0]) for part in text.split("Plasma memory usage ")[1:])
        driver.append(resident_megabytes())

    ds = ray.data.range(count).map(lambda row: {"id": str(row["id"]), "text": f"text {row['id'] % 97}"})
    began = time.perf_counter()
    report = run(ds, workers=1, batch_size=1000, on_progress=look)  # of two CPUs one is for reading
    early, late = max(driver[: 1 + len(driver) // 3]), max(driver)
    print(f"{count:,} rows in {time.perf_counter() - began:.1f} s; object store at most {max(store):.1f} MB")
    print(f"driver {early:.1f} MB in the first third, {late:.1f} at most")
    assert report.written == count
    assert max(store) < 40
    assert late < early + 16


def resident_megabytes():
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
