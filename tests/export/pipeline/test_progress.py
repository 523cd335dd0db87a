"""The steps of an export as the reader of a log, of a terminal, and of neither sees them."""

from __future__ import annotations

import io
import re
import sys
import time

import pytest

from embedkit_export.pipeline.progress import Steps


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_line_a_step_with_its_own_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    with Steps(True, 3) as step:
        step("first")
        assert capsys.readouterr().err == "", "a step is told when it is over"
        time.sleep(0.3)
        step("second")
        first = re.fullmatch(r"first \.\.\. (\d+\.\d) s\n", capsys.readouterr().err)
        assert first
        assert 0.25 <= float(first[1]) < 5
        step("second: again", again=True)
    assert re.fullmatch(r"second \.\.\. 0\.\d s\nsecond: again \.\.\. 0\.\d s\n", capsys.readouterr().err)


def test_the_step_that_failed_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="cut"), Steps(True, 2) as step:
        step("first")
        raise ValueError("cut")
    assert re.fullmatch(r"first \.\.\. stopped after 0\.\d s\n", capsys.readouterr().err)


def test_a_terminal_has_a_bar_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = Terminal()
    monkeypatch.setattr(sys, "stderr", shown)
    with Steps(True, 4) as step:
        step("first")
        step("second")
        step("second: again", again=True)
        step("third")
    written = shown.getvalue()
    drawn = [
        re.sub(r"\|.*\| \d\d:\d\d ", " ", part).strip() for part in written.split("\r") if re.search(r"\| \d\d:", part)
    ]
    assert list(dict.fromkeys(drawn[1:])) == ["0% first", "25% second", "25% second: again", "50% third", "100% done"]
    assert " ... " not in written


@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_nothing_where_it_is_not_wanted(stream: type[io.StringIO], monkeypatch: pytest.MonkeyPatch) -> None:
    written = stream()
    monkeypatch.setattr(sys, "stderr", written)
    with Steps(False, 2) as step:
        step("first")
        step("second")
    assert written.getvalue() == ""
