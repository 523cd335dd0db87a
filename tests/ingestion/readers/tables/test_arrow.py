from __future__ import annotations

import io
import sys
from datetime import date, datetime, time, timedelta, timezone
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

NOON = datetime(2024, 1, 1, 12, tzinfo=timezone.utc)


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
