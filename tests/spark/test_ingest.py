"""Rows of a data frame into a real store, by the executors of a real cluster on this machine."""

from __future__ import annotations

import datetime
import os
import signal
import threading
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from embedkit.encoders.encoder import Encoder
from embedkit.errors import BundleError, CollectionMismatchError, InputError, StoreError, WorkerError
from embedkit.ingestion import Chunking
from embedkit.ingestion.distributed.bundle_ref import BundleRef
from embedkit.ingestion.pipeline.lock import one_writer
from embedkit.ingestion.pipeline.report import IngestError
from embedkit.stores.opening import open_store
from embedkit.testing.tiny import tiny_bundle
from helpers.cluster_rows import rows, stored
from helpers.noted import noted
from helpers.qdrant_stand_in import CUT, stand_in

pytestmark = pytest.mark.spark


def executors():
    """The processes of the executors of these tests alone: they have inherited the cache folder."""
    mine = f"EMBEDKIT_CACHE={os.environ['EMBEDKIT_CACHE']}\0".encode()
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            command, variables = ((place / name).read_bytes() for name in ("cmdline", "environ"))
            if b"CoarseGrainedExecutorBackend" in command and mine in variables:
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


def test_an_executor_that_is_killed_loses_no_row(spark, run, frame, alone, url, monkeypatch):
    from helpers.spark_workers import Noted

    monkeypatch.setattr("embedkit.spark.ingest.SparkWorker", Noted)
    given, killed = rows(800), []

    def kill():
        while not killed:
            if noted("blocks", keep=True)[20:] and (found := executors()):
                killed.append(found[0])
                os.kill(found[0], signal.SIGKILL)

    thread = threading.Thread(target=kill, daemon=True)
    thread.start()
    report = run(frame(given, 8), batch_size=10)
    thread.join(30)
    assert killed
    assert (report.read, report.dead) == (800, 0)
    assert stored(url) == alone(given)
    loads = Counter(noted("begun"))
    assert set(loads.values()) == {1}, "a process loads the bundle once"
    assert len(noted("blocks")) > 80, "blocks were taken again"


def test_a_sync_deletes_what_the_frame_has_not_and_dead_rows_are_spared(spark, run, url, tmp_path):
    run(rows(60))
    report = run(rows(40, d7=" "), sync=True, dead_letters=str(tmp_path / "dead"))
    assert (report.deleted, report.unchanged, report.dead, report.conflicting) == (20, 39, 1, 0)
    assert set(stored(url)) == {f"d{i}" for i in range(40)}
    letters = spark.read.parquet(str(tmp_path / "dead")).collect()
    assert [(row["id"], "whitespace" in row["reason"]) for row in letters] == [("d7", True)]


def test_a_row_that_ends_three_processes_is_a_dead_letter(run, url, monkeypatch):
    from helpers.spark_workers import Deadly

    monkeypatch.setattr("embedkit.spark.ingest.SparkWorker", Deadly)
    report = run(rows(80, d7="a deadly text"), batch_size=20)
    assert len(noted("killed")) == 3
    assert (report.read, report.dead) == (80, 1)
    assert set(stored(url)) == {f"d{i}" for i in range(80)} - {"d7"}
    assert '"3 worker processes ended while it was encoded"' in Path("docs.dead.jsonl").read_text()


def test_chunks_are_made_by_the_executors_and_shrink_across_runs(spark, run, url):
    def frame(words):
        return spark.createDataFrame([(f"d{i}", "some words " * words) for i in range(6)], "id string, text string")

    long, short = (run(frame(words), chunking=Chunking(size=20)) for words in (20, 3))
    assert long.written > short.written > 0
    assert len(stored(url)) == short.written == long.written - short.removed


def test_columns_are_metadata_whatever_they_are_called(spark, run, url):
    kinds = "id string, `a.b` array<string>, text string, `c d` double, at date"
    run(
        spark.sql("select 'x', array('p', 'q'), 'a text', 1.5d, date'2026-01-02'").toDF(
            *spark.createDataFrame([], kinds).columns
        )
    )
    assert stored(url)["x"][:2] == ("a text", {"a.b": ["p", "q"], "c d": 1.5, "at": datetime.date(2026, 1, 2)})


def test_two_jobs_on_one_collection_one_is_refused(run, url):
    run(rows(10))
    with open_store(url) as store, one_writer(store, "docs"), pytest.raises(StoreError, match="another ingest"):
        run(rows(10, first=5000))
    assert set(stored(url)) == {f"d{i}" for i in range(10)}


def test_a_machine_that_cannot_take_part_is_named_before_anything_is_written(run, url, bundle, tmp_path, monkeypatch):
    other = tiny_bundle(tmp_path / "other", seed=4)
    real = BundleRef.of(Encoder.load(bundle).bundle)
    monkeypatch.setattr(BundleRef, "of", classmethod(lambda cls, found: replace(real, path=str(other))))
    with pytest.raises(WorkerError, match=r"(?s)nodes cannot take part.*found another bundle"):
        run(rows(10), send_bundle=False)
    assert stored(url) == {}
    report = run(rows(30))  # it is sent instead
    assert report.written == 30


def test_a_store_that_is_cut_and_overloaded_costs_no_row_and_one_that_fails_ends_the_run(run):
    overloaded = (429, {"Retry-After": "1"}, '{"status": {"error": "too many"}}')
    with stand_in() as (state, url):
        state.faults["PUT .*/points"] = [overloaded, CUT, overloaded]
        report = run(rows(100), store=url)
        assert not any(state.faults.values())
        assert (report.written, report.dead) == (100, 0)
        state.faults["PUT .*/points"] = [(403, {}, '{"status": {"error": "read only"}}')] * 1000
        with pytest.raises(IngestError, match="read only") as failed:
            run(rows(60, first=1000), store=url)
        assert failed.value.report.written == 0


def test_what_does_not_fit_is_refused_before_anything_is_begun(spark, run, tmp_path):
    with pytest.raises(InputError, match=r"df: expected a pyspark.sql.DataFrame, found dict"):
        run({})
    with pytest.raises(StoreError, match="one process alone"):
        run(rows(1), store="memory:x")
    with pytest.raises(BundleError):
        run(rows(1), bundle=tmp_path / "nothing")
    with pytest.raises(InputError, match="body"):
        run(rows(5), text_column="body")
    run(rows(5))
    with pytest.raises(CollectionMismatchError):
        run(rows(1), bundle=tiny_bundle(tmp_path / "b", seed=8))
