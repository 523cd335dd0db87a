"""A job to be killed, and the moments when."""

from __future__ import annotations

import json
import os
import random
import sys
from pathlib import Path

import pytest

from helpers.job import Job


@pytest.fixture
def job(bundle: Path, tmp_path: Path, entry_points: None) -> Job:
    rows = {f"id {n}": f"the text of row {n}" for n in range(3_000)}
    job = Job(bundle, tmp_path, rows, {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
    job.source.write_text(
        "".join(
            json.dumps({"id": row_id, "text": text, "n": n}) + "\n" for n, (row_id, text) in enumerate(rows.items())
        )
    )
    return job


@pytest.fixture
def moments() -> random.Random:
    return random.Random(os.environ.get("EMBEDKIT_SEED", "0"))
