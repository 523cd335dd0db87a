"""Compressed files, whole and damaged."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import struct
import sys

import pytest

from embedkit.errors import MissingExtraError
from embedkit.ingestion import FileRows
from embedkit.system.files.compression import decompressed


def zstd(raw):
    return pytest.importorskip("zstandard").ZstdCompressor().compress(raw)


PACKERS = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress, ".zst": zstd}
RAW = "".join(json.dumps({"id": i, "text": f"text {i * 7919 % 1000}"}) + "\n" for i in range(20_000)).encode()


@pytest.fixture(params=PACKERS)
def suffix(request):
    return request.param


def test_what_is_packed_is_read(tmp_path, suffix):
    path = tmp_path / f"docs.jsonl{suffix}"
    path.write_bytes(PACKERS[suffix](RAW))
    assert [row.id for row in FileRows([path])] == [str(i) for i in range(20_000)]


def test_several_parts_in_one_file(tmp_path, suffix):
    half = RAW.index(b"\n", len(RAW) // 2) + 1
    path = tmp_path / f"docs.jsonl{suffix}"
    path.write_bytes(PACKERS[suffix](RAW[:half]) + PACKERS[suffix](RAW[half:]))
    assert len(list(FileRows([path]))) == 20_000


def test_the_first_bytes_tell_it_where_the_name_does_not(tmp_path, suffix):
    path = tmp_path / "docs.csv"
    path.write_bytes(PACKERS[suffix](b"id,text\n1,packed\n"))
    assert [row.text for row in FileRows([path])] == ["packed"]


def test_one_document(tmp_path, monkeypatch, suffix):
    path = tmp_path / f"note.txt{suffix}"
    path.write_bytes(PACKERS[suffix](b"a note"))
    monkeypatch.chdir(tmp_path)
    (row,) = FileRows([path.name])
    assert (row.id, row.text) == (path.name, "a note")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_of_a_file_cut_off_the_rows_before_are_kept(tmp_path, suffix, share):
    path = tmp_path / f"docs.jsonl{suffix}"
    packed = PACKERS[suffix](RAW)
    path.write_bytes(packed[: int(len(packed) * share)])
    *rows, bad = FileRows([path])
    assert "cannot be read" in bad.reason or "reading failed after line" in bad.reason
    assert (bad.source, bad.format, bad.id) == (str(path), f"file:jsonl:{path}", None)
    assert [row.id for row in rows if hasattr(row, "text")] == [str(i) for i in range(len(rows))][: len(rows)]


def test_a_damaged_file_is_told(tmp_path, suffix):
    packed = bytearray(PACKERS[suffix](RAW))
    for place in range(len(packed) // 2, len(packed) // 2 + 50):
        packed[place] ^= 0x5A
    path = tmp_path / f"docs.jsonl{suffix}"
    path.write_bytes(packed)
    *_, bad = FileRows([path])
    assert "cannot be read" in bad.reason or "reading failed after line" in bad.reason


def test_a_name_that_lies_is_told(tmp_path, suffix):
    path = tmp_path / f"docs.jsonl{suffix}"
    path.write_bytes(RAW)
    (bad,) = FileRows([path])
    assert f"the name ends in {suffix}, and the file is not compressed so" in bad.reason


def test_what_needs_a_plain_file_says_so(tmp_path):
    path = tmp_path / "docs.parquet.gz"
    path.write_bytes(gzip.compress(b"PAR1"))
    (bad,) = FileRows([path])
    assert "parquet cannot be read from a compressed file; decompress it" in bad.reason


def test_without_the_package_the_extra_is_named(tmp_path, monkeypatch):
    path = tmp_path / "docs.jsonl.zst"
    path.write_bytes(zstd(RAW))
    monkeypatch.setitem(sys.modules, "zstandard", None)
    with pytest.raises(MissingExtraError, match=r"embedkit-onnx\[zstd\]"):
        list(FileRows([path]))


def skippable(raw, number=0):
    return struct.pack("<II", 0x184D2A50 + number, len(raw)) + raw


@pytest.mark.parametrize(
    "frames",
    [
        lambda parts: b"".join(skippable(struct.pack("<I", len(part))) + part for part in parts),  # as pzstd writes
        lambda parts: b"".join(parts) + skippable(b"x" * 5_000, 7),
        lambda parts: skippable(b"x" * 3_000, 15) + skippable(b"") + b"".join(parts),
        lambda parts: zstd(b"") + b"".join(parts) + zstd(b""),
    ],
)
def test_frames_without_data_are_passed_over(tmp_path, frames):
    """A file of pzstd begins with one, and was called not compressed."""
    path = tmp_path / "docs.jsonl.zst"
    path.write_bytes(frames([zstd(RAW[start : start + 100_000]) for start in range(0, len(RAW), 100_000)]))
    with decompressed(str(path)) as file:
        assert file.read() == RAW


def test_parts_without_data_are_passed_over(tmp_path, suffix):
    path = tmp_path / f"docs.jsonl{suffix}"
    pack = PACKERS[suffix]
    path.write_bytes(pack(b""))
    assert list(FileRows([path])) == []
    path.write_bytes(pack(b"") + pack(RAW) + pack(b""))
    assert len(list(FileRows([path]))) == 20_000


def test_padding_between_parts_is_passed_over(tmp_path, suffix):
    """What followed it in a file of xz was lost in silence."""
    if suffix == ".zst":
        pytest.skip("Zstandard knows no padding")
    path = tmp_path / f"docs.jsonl{suffix}"
    half = RAW.index(b"\n", len(RAW) // 2) + 1
    path.write_bytes(PACKERS[suffix](RAW[:half]) + bytes(5_000) + PACKERS[suffix](RAW[half:]) + bytes(8))
    assert len(list(FileRows([path]))) == 20_000


@pytest.mark.parametrize("where", ["behind the last part", "instead of the second part's head"])
def test_what_is_no_part_is_told(tmp_path, suffix, where):
    """Python's own readers of bzip2 and xz take it for the end."""
    packed = PACKERS[suffix](RAW)
    path = tmp_path / f"docs.jsonl{suffix}"
    path.write_bytes(packed + (b"damaged" if where == "behind the last part" else b"damaged" + packed[7:]))
    *rows, bad = FileRows([path])
    assert len(rows) == 20_000
    assert bad.reason.startswith("reading failed after line 20,000, and the rows before it were read: ")


def test_a_frame_without_data_that_is_cut_off_is_noticed(tmp_path):
    path = tmp_path / "docs.jsonl.zst"
    path.write_bytes(zstd(RAW) + skippable(b"x" * 5_000)[:4_000])
    *rows, bad = FileRows([path])
    assert (len(rows), bad.reason) == (
        20_000,
        "reading failed after line 20,000, and the rows before it were read: Compressed file ended before the end of a frame",
    )


HALF = RAW.index(b"\n", len(RAW) // 2) + 1


@pytest.mark.parametrize(
    ("suffix", "raw"),
    [
        (".xz", lzma.compress(RAW[:HALF]) + b"\0" * 8 + lzma.compress(RAW[HALF:]) + b"\0" * 4),
        (".xz", lzma.compress(b"") + lzma.compress(RAW)),
        (".bz2", bz2.compress(b"") + bz2.compress(RAW) + bz2.compress(b"")),
        (".gz", gzip.compress(RAW[:HALF]) + b"\0" * 8 + gzip.compress(RAW[HALF:])),
    ],
)
def test_what_holds_nothing_between_parts_is_passed_over(tmp_path, suffix, raw):
    """Python's own reader of xz ends at the zeros that the format allows between two streams."""
    path = tmp_path / f"docs.jsonl{suffix}"
    path.write_bytes(raw)
    with decompressed(str(path)) as file:
        assert file.read() == RAW


def test_an_empty_part_alone(tmp_path, suffix):
    path = tmp_path / f"docs.jsonl{suffix}"
    path.write_bytes(PACKERS[suffix](b""))
    assert list(FileRows([path])) == []


@pytest.mark.parametrize("junk", [b"junkjunkjunk", b"BZh9 damaged", b"\xfd7zX damaged", b"\x1f\x8b"])
def test_what_stands_behind_the_last_part_is_told(tmp_path, suffix, junk):
    """It may be a part whose first bytes are damaged: with Python's own readers its rows were lost in silence."""
    path = tmp_path / f"docs.jsonl{suffix}"
    path.write_bytes(PACKERS[suffix](RAW) + junk)
    *rows, bad = FileRows([path])
    assert len(rows) == 20_000
    assert "reading failed after line 20,000" in bad.reason
