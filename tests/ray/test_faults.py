"""What fails in a cluster: processes and machines that end, rows that end them, stores that refuse, hang and are overloaded."""

from __future__ import annotations

import os
import random
import re
import signal
import threading
from collections import Counter
from pathlib import Path

import pytest

from embedkit.errors import WorkerError
from embedkit.ingestion.pipeline.report import IngestError
from embedkit.stores.opening import open_store
from helpers.cluster_rows import rows, stored
from helpers.noted import noted
from helpers.qdrant_stand_in import CUT, HUNG, stand_in
from helpers.ray_workers import Counted, Deadly

pytestmark = pytest.mark.ray

KILLS = int(os.environ.get("EMBEDKIT_KILLS", "4"))
NODES = int(os.environ.get("EMBEDKIT_KILLS", "1"))
STORE_BYTES = 100 << 20
OVERLOADED = (429, {"Retry-After": "1"}, '{"status": {"error": "too many"}}')


@pytest.fixture
def server():
    with stand_in() as found:
        yield found


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


def test_nodes_that_are_gone_cost_no_row(cluster, run, alone, url):
    given = rows(600)
    moments, gone = random.Random(5), 0
    nodes = [cluster.add_node(num_cpus=1, object_store_memory=STORE_BYTES)]

    def remove(report):
        nonlocal gone
        if nodes and moments.random() < 0.3:
            cluster.remove_node(nodes.pop(), allow_graceful=False)
            gone += 1
            if gone < NODES:
                nodes.append(cluster.add_node(num_cpus=1, object_store_memory=STORE_BYTES))

    while gone < NODES:
        report = run(given, workers=3, batch_size=25, on_progress=remove)
        assert (report.read, report.dead) == (600, 0)
        if gone < NODES:
            with open_store(url) as store:
                store.drop("docs")
    assert stored(url) == alone(given)


def test_a_row_that_ends_three_processes_is_a_dead_letter(run, url, monkeypatch):
    monkeypatch.setattr("embedkit.ray.ingest.RayWorker", Deadly)
    report = run(rows(120, d7="a deadly text"), workers=1, batch_size=20)
    assert len(noted("killed")) == 3
    assert (report.read, report.dead) == (120, 1)
    assert set(stored(url)) == {f"d{i}" for i in range(120)} - {"d7"}
    assert '"3 worker processes ended while it was encoded"' in Path("docs.dead.jsonl").read_text()


def test_a_worker_loads_the_bundle_once(run, monkeypatch):
    monkeypatch.setattr("embedkit.ray.ingest.RayWorker", Counted)
    assert run(rows(300), batch_size=20).written == 300
    loads, blocks = Counter(noted("begun")), noted("blocks")
    assert len(blocks) >= 15
    assert set(loads) >= set(blocks)
    assert 1 <= len(loads) <= 2
    assert set(loads.values()) == {1}


def test_a_store_that_hangs_cuts_and_is_overloaded_costs_no_row(run, server):
    state, url = server
    state.faults["PUT .*/points"] = [OVERLOADED, HUNG, CUT, OVERLOADED]
    state.faults["POST .*/points"] = [OVERLOADED]
    report = run(rows(200), store=url)
    assert not any(state.faults.values())
    assert (report.read, report.written, report.dead) == (200, 200, 0)
    assert {key: text for key, (text, *_) in stored(url).items()} == {f"d{i}": f"text {i}" for i in range(200)}


def test_a_row_that_the_store_refuses_is_a_dead_letter(run, server):
    state, url = server
    refuse = state.points

    def points(method, path, name, body):
        if (method, path) == ("PUT", "points") and any(
            point["payload"]["text"] == "text 13" for point in body["points"]
        ):
            raise ValueError("not this one")
        return refuse(method, path, name, body)

    state.points = points
    report = run(rows(60), store=url)
    assert (report.read, report.written, report.dead) == (60, 59, 1)
    assert "not this one" in Path("docs.dead.jsonl").read_text()
    assert "d13" not in stored(url)


def test_a_store_that_fails_for_good_ends_the_run_with_its_report(run, server):
    state, url = server
    state.faults["PUT .*/points"] = [(403, {}, '{"status": {"error": "read only"}}')] * 1000
    with pytest.raises(IngestError, match="read only") as failed:
        run(rows(60), store=url)
    assert failed.value.report.written == 0
    state.faults.clear()
    assert run(rows(60), store=url).written == 60


@pytest.mark.parametrize("package", ["embedkit", "onnxruntime", "tokenizers"])
def test_a_node_with_another_version_is_named(run, url, package, monkeypatch):
    from embedkit.ingestion.distributed import plan

    real = plan.versions()
    monkeypatch.setattr(plan, "versions", lambda: real | {package: "0.0.1"})
    with pytest.raises(
        WorkerError, match=rf"(?s)nodes cannot take part.*{package} is {re.escape(real[package])}, and"
    ) as told:
        run(rows(10))
    assert "the driver has 0.0.1" in str(told.value)
    assert stored(url) == {}


def test_a_node_without_the_variant_is_named(run, url, monkeypatch):
    from dataclasses import replace

    from embedkit.ingestion.distributed import driver

    real = driver.plan_run
    monkeypatch.setattr(driver, "plan_run", lambda *given, **named: replace(real(*given, **named), variant="w4"))
    with pytest.raises(WorkerError, match="(?s)2 of 2 nodes cannot take part.*w4"):
        run(rows(10))
    assert stored(url) == {}
