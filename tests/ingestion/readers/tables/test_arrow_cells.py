"""Rows of an Arrow batch, one by one where a column cannot be read at once."""

from __future__ import annotations

from datetime import datetime

import pytest

from embedkit.ingestion.readers.tables.arrow_cells import BadCell, rows_of

pa = pytest.importorskip("pyarrow")


def test_rows_are_mappings_of_pythons_values():
    batch = pa.record_batch({"a": [1, None], "at": pa.array([1_001, None], pa.timestamp("ns"))})
    moment = datetime(1970, 1, 1, 0, 0, 0, 1)
    assert list(rows_of(batch)) == [{"a": 1, "at": moment}, {"a": None, "at": None}]
    assert list(rows_of(pa.record_batch({"a": pa.array([], pa.int64())}))) == []


def test_a_cell_that_cannot_be_read_is_named_and_the_others_of_its_row_are_there():
    beyond = pa.array([0, 10**12, 10**12], pa.int64()).view(pa.timestamp("s"))
    batch = pa.record_batch({"a": [1, 2, 3], "at": beyond, "b": ["x", "y", "z"], "then": beyond})
    first, *bad = rows_of(batch)
    assert first == {"a": 1, "at": datetime(1970, 1, 1), "b": "x", "then": datetime(1970, 1, 1)}
    expected = [{"a": 2, "b": "y"}, {"a": 3, "b": "z"}]
    assert bad == [BadCell("at", "date value out of range", row) for row in expected]
