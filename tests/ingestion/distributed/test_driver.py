"""The driver of a run, with workers of this process."""

from __future__ import annotations

from pathlib import Path

import pytest

from embedkit.errors import InputError, OptionError, StoreError
from embedkit.ingestion.distributed.block import BlockIngest
from embedkit.ingestion.distributed.driver import begun
from embedkit.ingestion.distributed.plan import Work
from embedkit.ingestion.pipeline.report import IngestError, IngestInterrupted
from embedkit.stores.opening import open_store


@pytest.fixture
def start(bundle, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def made(work=None, store=f"sqlite-vec:{tmp_path}/rows.db", collection="docs"):
        how = {"device": "cpu", "variant": "fp32", "engine": "auto", "threads": 1}
        return begun(bundle, store, collection, work or Work(), dead_letters=None, **how)

    return made


def finished(run, answers, **options):
    return run.finish(answers, failures=(RuntimeError,), cause=lambda error: error.__cause__ or error, **options)


def test_what_workers_give_back_is_added_up_and_a_sync_deletes(start, table, tmp_path):
    with start() as run:
        assert run.plan.variant == "fp32"
        block, seen = BlockIngest(run.plan), []
        report = finished(
            run,
            (block(table(texts)) for texts in ({"a": "x", "b": "y"}, {"c": "z", "d": " "})),
            on_progress=lambda report: seen.append(report.read),
        )
    assert (report.read, report.written, report.dead, seen) == (4, 3, 1, [2, 4])
    assert '"d"' in Path("docs.dead.jsonl").read_text()
    with start(Work(keep_ids=True)) as run:
        block = BlockIngest(run.plan)
        assert finished(run, [block(table({"a": "x"}))]).deleted == 2
    with start(Work(keep_ids=True)) as run, pytest.raises(InputError, match="no usable row"):
        finished(run, [])
    with open_store(f"sqlite-vec:{tmp_path}/rows.db") as store:
        assert [row.id for row in store.open("docs").records()] == ["a"]


def test_what_ends_a_run_comes_with_the_report_of_what_was_done_before(start, table):
    def then(error, texts):
        yield BlockIngest(run.plan)(table(texts))
        raise error from (error.args[1] if len(error.args) > 1 else None)

    told = {
        RuntimeError("engine", StoreError("read only")): "read only",
        RuntimeError("a node is gone"): "a node is gone",
        StoreError("no index"): "no index",
    }
    for number, (error, words) in enumerate(told.items()):
        with start() as run, pytest.raises(IngestError, match=words) as failed:
            finished(run, then(error, {f"{number}": "text"}))
        assert failed.value.report.written == 1
    with start() as run, pytest.raises(OptionError, match="an option"):
        finished(run, then(RuntimeError("engine", OptionError("an option")), {"o": "text"}))
    with start() as run, pytest.raises(IngestInterrupted) as stopped:
        finished(run, then(KeyboardInterrupt(), {"k": "text"}))
    assert stopped.value.report.written == 1


def test_one_run_at_a_time_has_a_collection(start):
    with start(), pytest.raises(StoreError, match="another ingest"), start():
        pass
    with pytest.raises(StoreError, match="one process alone"), start(store="memory:x"):
        pass
    with pytest.raises(InputError, match="its address"), start(store=object()):
        pass
