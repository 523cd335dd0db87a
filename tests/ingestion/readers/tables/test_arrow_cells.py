"""Rows of an Arrow batch, one by one where a column cannot be read at once."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import pytest

from embedkit.ingestion.readers.tables.arrow_cells import BadCell, rows_of, sound

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


def leading_nowhere(kind: pa.DataType = pa.string()) -> pa.Array:
    """Text whose second value begins at a byte that is not there."""
    offsets = np.asarray([0, 1, 10_000_000, 2], np.int32)
    return pa.Array.from_buffers(kind, 3, [None, pa.py_buffer(offsets.tobytes()), pa.py_buffer(b"ab")])


def no_utf_8() -> pa.Array:
    return pa.array([b"\xff", b"b", b"c"]).view(pa.string())


def test_offsets_and_indices_that_lead_elsewhere() -> None:
    """Reading them ended the process."""
    places = pa.array([0, 1, 3], pa.int32())
    indices = pa.array([0, 7, 1], pa.int8())
    for column in (
        leading_nowhere(),
        leading_nowhere(pa.binary()),
        pa.StructArray.from_arrays([no_utf_8(), leading_nowhere()], ["a", "b"]),
        pa.ListArray.from_arrays(places, pa.StructArray.from_arrays([no_utf_8(), leading_nowhere()], ["a", "b"])),
        pa.DictionaryArray.from_arrays(indices, pa.array(["a"]), safe=False),
        pa.DictionaryArray.from_arrays(pa.array([0, 1, 2]), leading_nowhere(), safe=False),
    ):
        with pytest.raises(pa.ArrowInvalid):
            sound(pa.RecordBatch.from_arrays([no_utf_8()[: len(column)], column], ["first", "second"]))


def test_text_that_is_no_utf_8_is_sound() -> None:
    columns = [no_utf_8(), pa.StructArray.from_arrays([no_utf_8(), pa.array([1, 2, 3])], ["a", "b"])]
    bad, *good = rows_of(sound(pa.RecordBatch.from_arrays(columns, ["x", "y"])))
    assert isinstance(bad, BadCell)
    assert good == [{"x": "b", "y": {"a": "b", "b": 2}}, {"x": "c", "y": {"a": "c", "b": 3}}]
