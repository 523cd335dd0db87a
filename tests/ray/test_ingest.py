"""Rows of a data set into a real store, by the workers of a real cluster on this machine."""

from __future__ import annotations

import numpy as np
import pytest

pytestmark = pytest.mark.ray

from embedkit.encoders.encoder import Encoder
from embedkit.ingestion import ingest
from embedkit.stores.opening import open_store


def rows(count, *, first=0, **changed):
    return [{"id": f"d{i}", "text": changed.get(f"d{i}", f"text {i}"), "n": i} for i in range(first, first + count)]


def stored(url, collection="docs"):
    """All of a collection, by id: text, metadata, hash and the bytes of the vector."""
    with open_store(url) as store:
        found = store.open(collection)
        ids = [row.id for row in found.records()]
        return {
            row.id: (row.text, row.metadata, row.hash, np.asarray(row.vector).tobytes())
            for row in found.get(ids, with_vectors=True)
        }


def test_it_is_equal_to_an_ingest_of_one_process_row_for_row_and_byte_for_byte(run, bundle, tmp_path):
    given = rows(300)
    report = run(given)
    assert (report.read, report.written, report.encoded, report.dead) == (300, 300, 300, 0)
    assert sum(about["rows"] for about in report.nodes.values()) == 300
    here = f"sqlite-vec:{tmp_path}/here.db"
    ingest(given, Encoder.load(bundle, variant="fp32"), here, collection="docs")
    assert stored(f"sqlite-vec:{tmp_path}/rows.db") == stored(here)
    again = run(given)
    assert (again.read, again.unchanged, again.encoded, again.written) == (300, 300, 0, 0)
