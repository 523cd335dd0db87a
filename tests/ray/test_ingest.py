"""Rows of a data set into a real store, by the workers of a real cluster on this machine."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from embedkit.encoders.encoder import Encoder
from embedkit.errors import BundleError, CollectionMismatchError, OptionError, StoreError, WorkerError
from embedkit.ingestion import Chunking, ingest
from embedkit.ingestion.distributed.bundle_ref import BundleRef
from embedkit.stores.opening import open_store
from embedkit.testing.tiny import tiny_bundle

pytestmark = pytest.mark.ray

KILLS = int(os.environ.get("EMBEDKIT_KILLS", "4"))


def rows(count, *, first=0, **changed):
    return [{"id": f"d{i}", "text": changed.get(f"d{i}", f"text {i}"), "n": i} for i in range(first, first + count)]


def stored(url, collection="docs"):
    """All of a collection, by id: text, metadata, hash and the bytes of the vector."""
    with open_store(url) as store:
        found = store.open(collection)
        ids = [row.id for row in found.records()]
        return {
            row.id: (row.text, row.metadata, row.hash, np.asarray(row.vector).tobytes())
            for row in found.get(ids, with_vectors=True)
        }


@pytest.fixture
def url(tmp_path):
    return f"sqlite-vec:{tmp_path}/rows.db"


@pytest.fixture
def alone(bundle, tmp_path):
    """What `embedkit.ingest` makes of rows, in one process."""

    def made(given):
        here = f"sqlite-vec:{tmp_path}/here.db"
        ingest(given, Encoder.load(bundle, variant="fp32"), here, collection="docs")
        return stored(here)

    return made


def workers():
    """The processes of a run's workers, of this cluster alone: they have inherited the cache folder of these tests."""
    mine = f"EMBEDKIT_CACHE={os.environ['EMBEDKIT_CACHE']}\0".encode()
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            if b"ray::MapWorker" in (place / "cmdline").read_bytes() and mine in (place / "environ").read_bytes():
                found.append(int(place.name))
        except OSError:
            continue
    return found


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


def test_workers_that_are_killed_lose_no_row(run, alone, url):
    import ray.data

    given = rows(1500)
    rng, killed, ended = random.Random(3), [], threading.Event()

    def kill():
        while len(killed) < KILLS and not ended.wait(rng.uniform(0.5, 1.5)):
            if found := workers():
                killed.append(rng.choice(found))
                os.kill(killed[-1], signal.SIGKILL)

    slow = ray.data.from_items(given, override_num_blocks=60)
    thread = threading.Thread(target=kill)
    thread.start()
    try:
        while len(killed) < KILLS:
            report = run(slow, batch_size=25, preflight=False)
            assert (report.read, report.dead) == (1500, 0)
            if len(killed) < KILLS:
                with open_store(url) as store:
                    store.drop("docs")
    finally:
        ended.set()
        thread.join()
    assert stored(url) == alone(given)


def test_a_node_that_is_gone_costs_no_row(cluster, run, alone, url):
    given = rows(600)
    node = cluster.add_node(num_cpus=1, object_store_memory=100 << 20)
    gone = []

    def remove(report):
        if not gone and len(report.nodes) > 0:
            gone.append(cluster.remove_node(node, allow_graceful=False))

    report = run(given, workers=3, batch_size=25, on_progress=remove)
    assert gone
    assert (report.read, report.dead) == (600, 0)
    assert stored(url) == alone(given)


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


def test_driver_and_object_store_stay_small(run, cluster):
    import ray.data

    import ray

    most = []

    def look(report):
        from ray._private.internal_api import memory_summary

        most.append(memory_summary(stats_only=True))

    count = int(os.environ.get("EMBEDKIT_RAY_ROWS", "3000"))
    ds = ray.data.range(count).map(lambda row: {"id": str(row["id"]), "text": f"text {row['id'] % 97}"})
    began = time.perf_counter()
    report = run(ds, workers=1, batch_size=1000, on_progress=look)  # of two CPUs one is for reading
    print(f"{count} rows in {time.perf_counter() - began:.1f} s")
    print(most[-1])
    assert report.written == count
    used = [float(part.split(" MiB")[0]) for text in most for part in text.split("Plasma memory usage ")[1:]]
    assert used
    assert max(used) < 40
