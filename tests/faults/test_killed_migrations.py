"""kill -9 of a migration at random moments: the name leads to one whole collection, the old model's or the new one's, and never back.

``EMBEDKIT_KILLS`` is how often it is killed.
"""

from __future__ import annotations

import importlib.util
import os
import random
from pathlib import Path

import pytest

from embedkit.encoders.encoder import Encoder
from embedkit.testing.tiny import tiny_bundle
from helpers import slow
from helpers.killed import Jobs, rows

KILLS = int(os.environ.get("EMBEDKIT_KILLS", "3"))
STORES = {"sqlite-vec": "sqlite_vec", "lancedb": "lancedb", "qdrant-edge": "qdrant_edge", "chroma": "chromadb"}


@pytest.mark.parametrize("scheme", slow.but({"sqlite-vec", "chroma"}, STORES))
def test_a_migration_that_is_killed_again_and_again(
    scheme: str, bundle: Path, tmp_path: Path, entry_points: None, moments: random.Random
) -> None:
    if importlib.util.find_spec(STORES[scheme]) is None:
        pytest.skip(f"{STORES[scheme]} is not installed")
    newer = tiny_bundle(tmp_path / "newer", dim=12, seed=5)
    old, new = (Encoder.load(each, variant="fp32", threads=1).fingerprint for each in (bundle, newer))
    given = {"bundle": str(bundle), "other": str(newer), "url": f"{scheme}:index"}
    jobs = Jobs(tmp_path, {})
    try:
        jobs.run(kind="ingest", version=0, **given)
        killed, models = 0, [old]
        for _ in range(KILLS):
            killed += jobs.kill(moments, kind="migrate", version=0, **given)
            jobs.run(kind="whole", version=0, **given)
            models.append((tmp_path / "model").read_text())
            if models[-1] == new:  # done: from here on it goes the other way round
                given |= {"bundle": given["other"], "other": given["bundle"]}
                old, new = new, old
        assert killed > KILLS // 3, "most were to be killed in the middle"
        assert set(models) <= {old, new}
        jobs.run(kind="migrate", version=0, **given)
        jobs.run(kind="whole", version=0, **given)
        assert (tmp_path / "model").read_text() == new
        assert len(rows(0)) > 200
    finally:
        jobs.close()
