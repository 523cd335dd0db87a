"""Data sets of Ray (extra ``ray``): encoded by the workers of a cluster, and written into a collection by them."""

from __future__ import annotations

from embedkit.system.extras import needed

needed("ray.data", "embedkit.ray", extra="ray")

from .encoder import BundleEncoder  # noqa: E402 (what is missing is told first)
from .files import ingest_files  # noqa: E402
from .ingest import ingest_dataset  # noqa: E402

__all__ = ["BundleEncoder", "ingest_dataset", "ingest_files"]
