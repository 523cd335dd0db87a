"""The worker of a run and the look at a machine, in this process."""

from __future__ import annotations

import pickle
import time
from types import SimpleNamespace

import pyarrow as arrow
import pytest

from embedkit.encoders.encoder import Encoder
from embedkit.errors import BundleError, InputError
from embedkit.ingestion.distributed.answers import BlockCounts, answer_lines
from embedkit.ingestion.distributed.bundle_ref import pack
from embedkit.ingestion.distributed.plan import Work, plan_run
from embedkit.stores.opening import open_store
from helpers.cluster_rows import rows, stored

pytestmark = pytest.mark.spark


@pytest.fixture
def plan(bundle, url):
    with open_store(url) as store:
        return plan_run(Encoder.load(bundle, variant="fp32", threads=1), store, "docs", Work(), threads=1)


def batch(given):
    return arrow.RecordBatch.from_pylist(given)


def as_struct(given):
    return arrow.RecordBatch.from_arrays([batch(given).to_struct_array()], ["row"])


def test_batches_are_taken_in_blocks_and_the_bundle_is_loaded_once(plan, url):
    from embedkit.spark.driver_link import listening
    from embedkit.spark.worker import SparkWorker

    with listening("127.0.0.1") as driver:
        worker = pickle.loads(pickle.dumps(SparkWorker(plan, None, driver.link, 20)))
        answers = list(worker([as_struct(rows(50)), as_struct(rows(10, first=50))]))
        counts = [
            line
            for found in answers
            for line in answer_lines(arrow.Table.from_batches([found]))
            if isinstance(line, BlockCounts)
        ]
        assert [found.read for found in counts] == [20, 20, 10, 10]
        assert len(stored(url)) == 60
        assert worker._block() is SparkWorker(plan, None, driver.link, 5)._block()
        with pytest.raises(InputError, match="'text'"):
            list(worker([as_struct([{"id": "a", "body": "b"}])]))
        assert [type(error) for error in driver.told] == [InputError]


def test_a_machine_is_looked_at_and_fetches_what_it_has_not(plan, bundle, tmp_path):
    from dataclasses import replace

    from embedkit.spark.worker import NodeChecker, fetching

    empty, full = batch([{"id": 0}]).slice(0, 0), batch([{"id": 0}])
    assert list(NodeChecker(plan, None, time.time())([empty])) == []
    (good,) = NodeChecker(plan, None, time.time())([full])
    assert good.column("problems").to_pylist() == [[]]
    gone = replace(plan, bundle=replace(plan.bundle, path=str(tmp_path / "gone")))
    (bad,) = NodeChecker(gone, None, time.time())([full])
    assert "expected the bundle of the driver" in bad.column("problems").to_pylist()[0][0]
    packed = SimpleNamespace(value=pack(Encoder.load(bundle).bundle))
    (sent,) = NodeChecker(gone, packed, time.time())([full])
    assert sent.column("problems").to_pylist() == [[]]
    assert fetching(None) is None
    with pytest.raises(BundleError):
        gone.encoder(fetching(None))
