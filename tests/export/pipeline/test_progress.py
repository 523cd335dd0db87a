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
    with Steps(True, ["first", "second", "third"]) as step:
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
    with pytest.raises(ValueError, match="cut"), Steps(True, ["first", "second"]) as step:
        step("first")
        raise ValueError("cut")
    assert re.fullmatch(r"first \.\.\. stopped after 0\.\d s\n", capsys.readouterr().err)


def test_a_terminal_has_a_bar_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = Terminal()
    monkeypatch.setattr(sys, "stderr", shown)
    with Steps(True, ["first", "second", "third", "fourth"]) as step:
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


class Clock:
    """Seconds that go on when they are told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr(time, "monotonic", lambda: self.now)


_PLAN = [
    "load the model",
    "encode with torch",
    "write fp32",
    "verify fp32",
    "write int8",
    "verify int8",
    "draw the report",
]


def test_what_is_left_goes_by_the_pace_so_far(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = Clock(monkeypatch)
    with Steps(True, _PLAN) as step:
        for name, seconds in zip(_PLAN, (400, 100, 20, 60, 90, 50, 5), strict=True):
            step(name)
            clock.now += seconds
    pace = [100 / 1, 120 / 1.2, 180 / 2.4, 270 / 4.4, 320 / 5.4]  # steps over / their shares
    left = [found * rest for found, rest in zip(pace, (4.7, 4.5, 3.3, 1.3, 0.3), strict=True)]
    told = [f"{seconds / 60:.0f} min" if seconds >= 90 else f"{round(seconds, -1):.0f} s" for seconds in left]
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "load the model ... 400.0 s", "what loading took says nothing of the rest"
    assert [line.partition(" s, about ")[2] for line in lines[1:6]] == [f"{words} left" for words in told]
    assert told[0] == "8 min"
    assert told[3] == "80 s"
    assert lines[6] == "draw the report ... 5.0 s"


def test_what_was_taken_over_says_nothing_of_the_rest(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = Clock(monkeypatch)
    with Steps(True, _PLAN) as step:
        step("encode with torch")
        step.untimed()
        step("take fp32 over from the run that was cut")
        step("write int8")
        clock.now += 200
        step("write int8: another form", again=True)
        clock.now += 1000
    assert capsys.readouterr().err.splitlines() == [
        "encode with torch ... 0.0 s",
        "take fp32 over from the run that was cut ... 0.0 s",
        "write int8 ... 200.0 s, about 2 min left",
        "write int8: another form ... 1000.0 s",
    ]


def test_the_bar_tells_what_is_left_with_the_step_that_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    shown, clock = Terminal(), Clock(monkeypatch)
    monkeypatch.setattr(sys, "stderr", shown)
    with Steps(True, _PLAN) as step:
        step("encode with torch")
        clock.now += 100
        step("verify int8")
        step("draw the report")
    assert "verify int8, about 2 min left" in shown.getvalue()


@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_nothing_where_it_is_not_wanted(stream: type[io.StringIO], monkeypatch: pytest.MonkeyPatch) -> None:
    written = stream()
    monkeypatch.setattr(sys, "stderr", written)
    with Steps(False, ["first", "second"]) as step:
        step("first")
        step("second")
    assert written.getvalue() == ""
