"""Data frames of Spark (extra ``spark``): encoded by the executors of a cluster, and written into a collection by them."""

from __future__ import annotations

from embedkit.system.extras import needed

needed("pyspark.sql", "embedkit.spark", extra="spark")

from .files import ingest_files  # noqa: E402 (what is missing is told first)
from .ingest import ingest_dataset  # noqa: E402

__all__ = ["ingest_dataset", "ingest_files"]
