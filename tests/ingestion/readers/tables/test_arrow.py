from __future__ import annotations

import bz2
import io
import sys
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from operator import length_hint

import pytest

from embedkit.errors import InputError, MissingExtraError
from embedkit.ingestion import FileRows
from embedkit.records.metadata import dump_metadata

pa = pytest.importorskip("pyarrow")
feather = pytest.importorskip("pyarrow.feather")
ipc = pytest.importorskip("pyarrow.ipc")
pq = pytest.importorskip("pyarrow.parquet")

NOON = datetime(2024, 1, 1, 12, tzinfo=UTC)


def table(n=3):
    return pa.table(
        {
            "id": pa.array(range(n), pa.int64()),
            "text": [f"text {i}" for i in range(n)],
            "none": pa.array([None] * n, pa.string()),
            "at": pa.array([NOON] * n, pa.timestamp("ns", "UTC")),
            "day": pa.array([date(2024, 1, 2)] * n),
            "nested": [{"a": [1, None], "at": NOON.replace(tzinfo=None)}] * n,
            "price": pa.array([Decimal("1.50")] * n),
            "clock": pa.array([time(1, 2)] * n),
            "took": pa.array([timedelta(seconds=1.5)] * n),
            "raw": pa.array([b"\xff"] * n),
        }
    )


KEPT = {
    "none": None,
    "at": NOON,
    "day": date(2024, 1, 2),
    "nested": {"a": [1, None], "at": NOON.replace(tzinfo=None)},
    "price": "1.50",
    "clock": "01:02:00",
    "took": 1.5,
    "raw": "/w==",
}


def stream(path):
    with ipc.new_stream(path, table().schema) as writer:
        writer.write_table(table())


def file(path):
    with ipc.new_file(path, table().schema) as writer:
        writer.write_table(table(), max_chunksize=2)


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("docs.parquet", lambda path: pq.write_table(table(), path, row_group_size=2)),
        ("docs.feather", lambda path: feather.write_feather(table(), path)),
        ("docs.arrow", file),
        ("docs.arrows", stream),
    ],
)
def test_nested_values_times_and_nulls_are_metadata(tmp_path, name, write):
    path = str(tmp_path / name)
    write(path)
    found = list(FileRows([path]))
    assert [(row.id, row.text, row.line) for row in found] == [(str(i), f"text {i}", i + 1) for i in range(3)]
    assert all(row.metadata == KEPT for row in found)
    assert dump_metadata(found[0].metadata)


def test_a_stream_comes_from_a_pipe(monkeypatch):
    sink = io.BytesIO()
    with ipc.new_stream(sink, table().schema) as writer:
        writer.write_table(table())
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(sink.getvalue())))
    assert [row.id for row in FileRows(["-"], format="arrow")] == ["0", "1", "2"]


@pytest.mark.parametrize("new", [ipc.new_file, ipc.new_stream])
def test_what_cannot_be_wound_back_is_read_as_a_stream(tmp_path, new):
    sink = io.BytesIO()
    with new(sink, table().schema) as writer:
        writer.write_table(table(700), max_chunksize=100)
    path = tmp_path / "docs.arrow.bz2"
    path.write_bytes(bz2.compress(sink.getvalue()))
    assert [row.id for row in FileRows([path])] == [str(i) for i in range(700)]


def test_rows_are_read_a_few_at_a_time(tmp_path):
    path = tmp_path / "docs.parquet"
    pq.write_table(table(5_000), path, row_group_size=1_000)
    before = pa.total_allocated_bytes()
    rows = iter(FileRows([path]))
    next(rows)
    assert pa.total_allocated_bytes() - before < path.stat().st_size / 2 + (1 << 20)
    assert sum(1 for _ in rows) == 4_999
    assert length_hint(FileRows([path])) == 5_000


def test_bad_rows_and_bad_columns(tmp_path):
    path = tmp_path / "docs.parquet"
    pq.write_table(pa.table({"id": ["a", None, "c"], "text": ["1", "2", None], "day": [date(2024, 1, 2)] * 3}), path)
    good, no_id, no_text = FileRows([path])
    assert good.id == "a"
    assert "'id' is missing or null" in no_id.reason
    assert (no_text.id, no_text.line, no_text.format) == ("c", 3, "record")
    assert '"text":null' in no_text.row
    with pytest.raises(InputError, match="no column 'body' among 'id', 'text', 'day'"):
        list(FileRows([path], text_field="body"))


@pytest.mark.parametrize("name", ["docs.parquet", "docs.arrow", "docs.feather"])
@pytest.mark.parametrize("raw", [b"", b"PAR1", b"ARROW1", b"no table at all" * 100])
def test_a_damaged_file_is_one_bad_row(tmp_path, name, raw):
    (tmp_path / name).write_bytes(raw)
    (bad,) = FileRows([tmp_path / name])
    assert "cannot be read" in bad.reason
    assert bad.format.startswith("file:")


def test_a_file_cut_off_is_one_bad_row(tmp_path):
    path = tmp_path / "docs.arrows"
    with ipc.new_stream(path, table().schema) as writer:
        for _ in range(3):
            writer.write_table(table())
    path.write_bytes(path.read_bytes()[:-400])
    *rows, bad = FileRows([path], id_from="row")
    assert [row.id for row in rows] == ["0", "1", "2", "0", "1", "2"]
    assert "reading failed after line 6" in bad.reason


def test_without_the_package_the_extra_is_named(tmp_path, monkeypatch):
    (tmp_path / "docs.parquet").write_bytes(b"PAR1")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match=r"embedkit-onnx\[parquet\]"):
        list(FileRows([tmp_path / "docs.parquet"]))


def written(rows, path):
    if path.suffix == ".parquet":
        pq.write_table(rows, path)
    else:
        feather.write_feather(rows, path)
    return list(FileRows([path], id_from="row"))


BYTES = [b"caf\xc3\xa9", b"\xff\xfe", None]


@pytest.mark.parametrize("name", ["docs.parquet", "docs.arrow"])
@pytest.mark.parametrize("kind", ["binary", "large_binary", "binary_view", "dictionary", "fixed"])
def test_bytes_are_text_in_utf_8_or_a_bad_row(tmp_path, name, kind):
    """They were embedded as their base64."""
    column = {
        "fixed": lambda: pa.array([b"ab", b"\xff\xfe", None], pa.binary(2)),
        "dictionary": lambda: pa.array(BYTES).dictionary_encode(),
    }.get(kind, lambda: pa.array(BYTES, pa.binary()).cast(getattr(pa, kind)()))()
    good, bad, none = written(pa.table({"id": column, "text": ["a", "b", "c"]}), tmp_path / name)
    assert good.id == ("ab" if kind == "fixed" else "café")
    assert "'id' is bytes, expected text: not valid UTF-8: byte 0xff at 0" in bad.reason
    assert (none.id, none.text) == ("3", "c")
    good, bad, none = written(pa.table({"id": ["a", "b", "c"], "text": column, "kept": column}), tmp_path / name)
    assert good.text == ("ab" if kind == "fixed" else "café")
    assert (bad.id, bad.line, bad.format) == ("b", 2, "")  # "" is not tried again as another text
    assert "'text' is missing or null" in none.reason


def test_whole_numbers_are_ids(tmp_path):
    ids = [12.0, None, 1.5, float("nan")]
    first, second, third, fourth = written(pa.table({"id": ids, "text": list("abcd")}), tmp_path / "docs.parquet")
    assert [first.id, second.id, fourth.id] == ["12", "2", "4"]
    assert "'id' is a number, expected text" in third.reason
    decimals = [Decimal("12.00"), Decimal("1.50")]
    assert [row.id for row in written(pa.table({"id": decimals, "text": ["a", "b"]}), tmp_path / "docs.parquet")] == [
        "12",
        "1.50",
    ]


def test_a_duration_is_no_id(tmp_path):
    """It would be its seconds as a whole number."""
    took = pa.table({"id": [timedelta(seconds=1), None], "text": ["a", "b"]})
    bad, none = written(took, tmp_path / "docs.parquet")
    assert "'id' is a timedelta, expected text" in bad.reason
    assert none.id == "2"


BEYOND = 10**12
"""Seconds: the year 33658."""


@pytest.mark.parametrize(
    ("column", "reason"),
    [
        (lambda: pa.array([0, BEYOND, 1], pa.int64()).view(pa.timestamp("s")), "date value out of range"),
        (lambda: pa.array([0, 10**8, 1], pa.int32()).view(pa.date32()), "date value out of range"),
        (lambda: pa.array([0, 10**17, 1], pa.int64()).view(pa.duration("s")), "too large"),
        (lambda: pa.array([0, 10**18, 1], pa.int64()).view(pa.timestamp("us", "Europe/Berlin")), "out of range"),
        (lambda: invalid_text(), "'utf-8' codec can't decode byte 0xff"),
    ],
)
def test_a_cell_that_python_cannot_hold_costs_its_row_alone(tmp_path, column, reason):
    rows = pa.table({"id": ["a", "b", "c"], "text": ["1", "2", "3"], "x": column()})
    first, bad, last = written(rows, tmp_path / "docs.arrow")
    assert (first.id, last.id) == ("a", "c")
    assert (bad.id, bad.line) == ("b", 2)
    assert reason in bad.reason
    assert bad.reason.startswith("the field 'x' cannot be read: ")
    kept = FileRows([tmp_path / "docs.arrow"], metadata_fields=[])
    assert [row.id for row in kept] == ["a", "b", "c"]


def invalid_text():
    offsets, data = bytes([0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0]), b"x\xffy"
    return pa.Array.from_buffers(pa.string(), 3, [None, pa.py_buffer(offsets), pa.py_buffer(data)])


@pytest.mark.parametrize("without_pandas", [False, True])
def test_nanoseconds_wherever_they_stand(tmp_path, monkeypatch, without_pandas):
    if without_pandas:
        monkeypatch.setitem(sys.modules, "pandas", None)
    moment, nano = datetime(1969, 12, 31, 23, 59, 59, 999_998), pa.timestamp("ns")
    column = pa.array([-1_001, None], nano)  # cut off, and not rounded towards 1970: as of numpy's and pandas' own
    rows = pa.table(
        {
            "id": ["a", "b"],
            "text": ["t", "u"],
            "plain": column,
            "zone": column.view(pa.timestamp("ns", "Etc/GMT-1")),
            "dictionary": column.dictionary_encode(),
            "runs": pa.RunEndEncodedArray.from_arrays(pa.array([1, 2], pa.int32()), column),
            "named": pa.ExtensionArray.from_storage(pa.opaque(nano, "type", "vendor"), column),
            "fixed": pa.array([[-1_001], None], pa.list_(nano, 1)),
            "list": pa.array([[-1_001, None], None], pa.list_(nano)),
            "view": pa.array([[-1_001, None], None], pa.list_view(nano)),
            "struct": pa.array([{"at": -1_001, "n": 1}, None], pa.struct([("at", nano), ("n", pa.int8())])),
            "map": pa.array([[("k", -1_001)], None], pa.map_(pa.string(), nano)),
            "length": pa.array([1_001, None], pa.duration("ns")),
            "clock": pa.array([1_001, None], pa.time64("ns")),
        }
    )
    first, second = written(rows, tmp_path / "docs.arrow")
    assert first.metadata == {
        **dict.fromkeys(("plain", "dictionary", "runs", "named"), moment),
        "zone": moment.replace(tzinfo=UTC),
        "fixed": [moment],
        **{name: [moment, None] for name in ("list", "view")},
        "struct": {"at": moment, "n": 1},
        "map": [["k", moment]],
        "length": 1.001e-6,
        "clock": "00:00:00.000001",
    }
    assert second.metadata == dict.fromkeys(first.metadata)


def test_a_zone_that_is_not_known_here(tmp_path):
    column = pa.array([0, None], pa.int64()).view(pa.timestamp("us", "Nowhere/Here"))
    first, second = written(pa.table({"id": ["a", "b"], "text": ["t", "u"], "at": column}), tmp_path / "docs.arrow")
    assert first.metadata == {"at": datetime(1970, 1, 1, tzinfo=UTC)}
    assert second.metadata == {"at": None}


def test_old_timestamps_of_parquet(tmp_path):
    """96 bits hold times that 64 bits of nanoseconds do not: they came back as others."""
    rows = pa.table({"id": ["a"], "text": ["t"], "at": pa.array([datetime(1500, 1, 1)], pa.timestamp("us"))})
    pq.write_table(rows, tmp_path / "docs.parquet", use_deprecated_int96_timestamps=True)
    (row,) = FileRows([tmp_path / "docs.parquet"])
    assert row.metadata == {"at": datetime(1500, 1, 1)}


def test_columns_without_a_name_and_durations_in_nanoseconds(tmp_path):
    took = pa.array([5, None], pa.duration("ns"))
    table = pa.table([pa.array(["a", "b"]), pa.array(["x", "y"]), took, took], ["id", "text", "", ""])
    pq.write_table(table, tmp_path / "a.parquet")
    first, second = FileRows([tmp_path / "a.parquet"])
    assert first.metadata == {"column 3": 5e-9, "column 4": 5e-9}
    assert second.metadata == {"column 3": None, "column 4": None}
