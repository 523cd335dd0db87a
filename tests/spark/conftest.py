"""A cluster of Spark on this machine: two executors of one core each, which are processes of their own."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from helpers.cluster_rows import by_one_process

pytest.importorskip("pyspark.sql", reason="`make test-spark` installs Spark", exc_type=ImportError)
if shutil.which("java") is None and "JAVA_HOME" not in os.environ:
    pytest.skip("Spark needs Java, of which there is none here", allow_module_level=True)

MASTER = "local-cluster[2,1,1024]"


@pytest.fixture(scope="session")
def spark(_own_cache: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    from pyspark.sql import SparkSession

    work = tmp_path_factory.mktemp("spark")
    os.environ["EMBEDKIT_STORE_TIMEOUT"] = "5"
    os.environ["PYSPARK_PYTHON"] = sys.executable
    os.environ["PYTHONPATH"] = str(Path(__file__).parents[1])
    os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"
    os.environ["SPARK_WORKER_DIR"] = str(work / "work")
    settings = {
        "spark.ui.enabled": "false",
        "spark.driver.host": "127.0.0.1",
        "spark.local.dir": str(work / "local"),
        "spark.sql.warehouse.dir": str(work / "warehouse"),
        "spark.driver.memory": "512m",
        "spark.executor.memory": "512m",
        "spark.ui.showConsoleProgress": "false",
    }
    made = SparkSession.builder.master(MASTER)
    for name, value in settings.items():
        made = made.config(name, value)
    session = made.getOrCreate()
    session.sparkContext.setLogLevel("OFF")
    yield session
    session.stop()


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
def frame(spark: Any) -> Any:
    """A data frame of a list of rows, in four partitions."""
    kinds = "id string, text string, n long"
    return lambda given, parts=4: spark.createDataFrame(
        [(row["id"], row["text"], row["n"]) for row in given], kinds
    ).repartition(parts)


@pytest.fixture
def run(frame: Any, bundle: Path, url: str) -> Any:
    """`ingest_dataset` of a list of rows, or of a data frame, into a store of one file."""
    from embedkit.spark import ingest_dataset

    def ingested(given: Any, **options: Any) -> Any:
        asked = {"collection": "docs", "batch_size": 50, "variant": "fp32"} | options
        df = frame(given) if isinstance(given, list) else given
        return ingest_dataset(df, asked.pop("bundle", bundle), asked.pop("store", url), **asked)

    return ingested
