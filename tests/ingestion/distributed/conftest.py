"""A store of one file, and a plan for it."""

from __future__ import annotations

import pyarrow as arrow
import pytest

from embedkit.encoders.encoder import Encoder
from embedkit.ingestion.distributed.plan import Work, plan_run
from embedkit.stores.opening import open_store


@pytest.fixture
def planned(bundle, tmp_path):
    """Makes a plan, with the collection."""

    def make(**work):
        with open_store(f"sqlite-vec:{tmp_path}/rows.db") as store:
            return plan_run(Encoder.load(bundle, variant="fp32", threads=1), store, "docs", Work(**work), threads=1)

    return make


@pytest.fixture
def table():
    """A table of documents with these ids and texts."""

    def make(texts):
        return arrow.table({"id": list(texts), "text": list(texts.values()), "n": list(range(len(texts)))})

    return make
