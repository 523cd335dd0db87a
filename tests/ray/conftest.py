"""A cluster of Ray on this machine: a head that computes nothing, and nodes of one CPU each."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from helpers.cluster_rows import by_one_process

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ.setdefault("RAY_DEDUP_LOGS", "0")

pytest.importorskip("ray.data", reason="`make test-ray` installs Ray", exc_type=ImportError)

STORE_BYTES = 100 << 20


@pytest.fixture(scope="session")
def cluster(_own_cache: None) -> Iterator[Any]:
    """With two nodes that have a CPU each."""
    from ray.cluster_utils import Cluster

    import ray

    os.environ["EMBEDKIT_STORE_TIMEOUT"] = "5"  # a store that hangs is to be seen soon
    os.environ["PYTHONPATH"] = str(Path(__file__).parents[1])  # the workers of these tests
    made = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 0, "object_store_memory": STORE_BYTES, "include_dashboard": False},
    )
    for _ in range(2):
        made.add_node(num_cpus=1, object_store_memory=STORE_BYTES)
    ray.init(address=made.address, log_to_driver=False, namespace="tests")
    ray.data.DataContext.get_current().enable_progress_bars = False
    yield made
    ray.shutdown()
    made.shutdown()


@pytest.fixture(autouse=True)
def working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite-vec:{tmp_path}/rows.db"


@pytest.fixture
def alone(bundle: Path, tmp_path: Path) -> Any:
    """What `embedkit.ingest` makes of rows, in one process."""
    return lambda given: by_one_process(given, bundle, tmp_path)


@pytest.fixture
def run(cluster: Any, bundle: Path, url: str) -> Any:
    """`ingest_dataset` of a list of rows into a store of one file, by two small workers."""
    import ray.data

    from embedkit.ray import ingest_dataset

    def ingested(rows: Any, **options: Any) -> Any:
        ds = rows if isinstance(rows, ray.data.Dataset) else ray.data.from_items(rows, override_num_blocks=4)
        given = {"collection": "docs", "workers": 2, "num_cpus": 1, "batch_size": 50, "variant": "fp32"} | options
        return ingest_dataset(ds, given.pop("bundle", bundle), given.pop("store", url), **given)

    return ingested
