from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedkit.system.files import lines as pieces
from embedkit.system.files.lines import NotText, TooLong, count_lines, decoded, lines, shown, whole


@given(st.binary(max_size=60))
def test_lines_are_those_of_the_file_without_its_bom(raw):
    found = list(lines(io.BytesIO(raw)))
    assert [number for number, _ in found] == list(range(1, len(found) + 1))
    assert b"".join(line for _, line in found) == raw.removeprefix(b"\xef\xbb\xbf")
    # Only a line feed ends a line; other separators of Unicode and a carriage return do not.
    assert all(b"\n" not in line[:-1] for _, line in found)


def test_a_bom_is_left_out_once():
    assert [line for _, line in lines(io.BytesIO(b"\xef\xbb\xbfa\n\xef\xbb\xbfb"))] == [b"a\n", b"\xef\xbb\xbfb"]
    assert whole(io.BytesIO(b"\xef\xbb\xbfa\n")) == b"a\n"


@pytest.mark.parametrize("end", [b"\n", b""])
def test_what_is_too_long_costs_no_other_line(monkeypatch, end):
    monkeypatch.setattr(pieces, "MAX_BYTES", 10)
    monkeypatch.setattr(pieces, "_BLOCK", 7)  # the rest of a line takes several reads
    raw = b"123456789\n" + b"x" * 50 + b"\nlast" + end
    first, long, last = lines(io.BytesIO(raw))
    assert (first, last) == ((1, b"123456789\n"), (3, b"last" + end))
    assert isinstance(long[1], TooLong)
    assert str(long[1]) == "the line is longer than 10 bytes"
    assert long[1].beginning == b"x" * 11
    with pytest.raises(TooLong, match="the file is longer than 10 bytes"):
        whole(io.BytesIO(b"x" * 11))
    assert whole(io.BytesIO(b"x" * 10)) == b"x" * 10


@given(st.binary(max_size=40))
def test_bytes_are_shown_or_decoded(raw):
    assert isinstance(shown(raw), str)
    try:
        expected = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        with pytest.raises(NotText, match=f"not valid UTF-8: byte 0x{raw[error.start]:02x} at {error.start}"):
            decoded(raw)
        assert "\\x" in shown(raw)
    else:
        assert decoded(raw) == shown(raw) == expected


def test_lines_are_counted(tmp_path, monkeypatch):
    monkeypatch.setattr(pieces, "_BLOCK", 3)
    (tmp_path / "a").write_bytes(b"a\r\n\n\nlast")
    assert count_lines(str(tmp_path / "a")) == 3
