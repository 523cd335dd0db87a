"""What commands read and print."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import click
import pytest

from embedkit.cli.text_io import (
    as_json,
    first_few,
    given_texts,
    hits_as_objects,
    input_lines,
    one_line,
    print_hits,
    print_json,
    print_json_line,
    print_report,
)
from embedkit.errors import DiskError, InputError
from embedkit.records.documents import Hit, Match


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\n b\t c", "a b c"),
        ("\x1b[31mred", "\ufffd[31mred"),
        ("a\u202eb\ud800", "a\ufffdb\ufffd"),
        ("0123456789", "0123456789"),
        ("0123456789a", "0123456..."),
        ("", ""),
    ],
)
def test_one_line_cannot_steer_a_terminal(text: str, shown: str) -> None:
    assert one_line(text, 10) == shown


def test_the_first_few_names() -> None:
    assert first_few(["a"]) == "a"
    assert first_few(list("abcde")) == "a, b, c, d, e"
    assert first_few(list("abcdef")) == "a, b, c, d, e, ..."


def test_json_keeps_what_is_not_ascii(capsys: pytest.CaptureFixture[str]) -> None:
    value = {"é": "日\n"}
    print_json_line(value)
    line = capsys.readouterr().out
    assert (json.loads(line), line.count("\n"), "日" in line) == (value, 1, True)
    assert json.loads(as_json(value)) == value


def test_lines_of_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = "\ufefffirst\r\n\n  héllo \n\ufefflast".encode()
    file = tmp_path / "lines.txt"
    file.write_bytes(raw)
    expected = ["first", "", "  héllo ", "\ufefflast"]
    assert list(input_lines(str(file))) == expected
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(raw)))
    assert given_texts([], "-") == expected


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    file = tmp_path / "lines.txt"
    file.write_bytes(b"fine\nbad \xff\n")
    with pytest.raises(InputError, match=r"lines\.txt, line 2: not valid UTF-8"):
        list(input_lines(str(file)))
    with pytest.raises(DiskError, match="nothing: No such file"):
        list(input_lines(str(tmp_path / "nothing")))


def test_texts_or_a_file_and_never_both() -> None:
    assert given_texts(["a", "b"], None) == ["a", "b"]
    for texts, file in (([], None), (["a"], "file")):
        with pytest.raises(click.BadParameter, match="either texts or --input"):
            given_texts(texts, file)


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1", "cp1252", "utf-16", "cp037", "cp932", "utf-8-sig"])
def test_json_is_json_whatever_the_terminal_is(monkeypatch: pytest.MonkeyPatch, encoding: str) -> None:
    """Characters that a terminal lacks were written as Python's escapes, which JSON has not."""
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding, errors="backslashreplace"))
    value = {"text": "é 日本 🎉 \\ \n", "lone": "\udcff"}
    print_json_line(value)
    print_json(as_json(value))
    line, _, rest = raw.getvalue().partition(b"\n")
    assert json.loads(line.decode("utf-8")) == json.loads(rest.decode("utf-8")) == value
    assert line.isascii() == (encoding != "utf-8")


def test_json_into_a_stream_of_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    print_json_line({"é": "\udcff"})
    assert json.loads(sys.stdout.getvalue()) == {"é": "\udcff"}


def test_a_report_in_words_or_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    class Counted:
        def to_json(self) -> str:
            return '{"n": 1}'

        def __str__(self) -> str:
            return "one row"

    for whole, quiet, out in ((True, True, '{"n": 1}\n'), (False, False, "one row\n"), (False, True, "")):
        print_report(Counted(), whole, quiet)
        assert capsys.readouterr().out == out


def test_a_hit_has_its_text_below_unless_its_id_is_all_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    print_hits([Hit("cat.png", 1.0, "cat.png", {}), Hit("7", 0.25, "green\ntea", {})], 3)
    assert capsys.readouterr().out == "  3.  1.0000  cat.png\n  4.  0.2500  7\n     green tea\n"


def test_what_matched_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    matches = {
        "lexical": [Match("tea", "tea", 2.5)],
        "multivector": [Match(f"t{i}", "\x1b[31m", 1 / (i + 1)) for i in range(20)],
    }
    hit = Hit("1", 2.5, "tea", {}, {}, matches)
    print_hits([hit], 1)
    lines = capsys.readouterr().out.splitlines()
    assert lines[2] == "     lexical: tea 2.5"
    assert lines[3].startswith("     multivector: t0 ~ \ufffd[31m 1, t1 ~")
    assert lines[3].endswith(", ...")
    (told,) = hits_as_objects([hit])
    assert told["matches"]["lexical"] == [{"query": "tea", "found": "tea", "score": 2.5}]
    assert len(told["matches"]["multivector"]) == 20
    assert "matches" not in hits_as_objects([Hit("1", 2.5, "tea", {})])[0]
