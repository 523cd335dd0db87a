"""A bar is shown where it is asked for."""

from __future__ import annotations

import pytest

from embedkit.system.progress import bar_of


@pytest.mark.parametrize(("progress", "shown"), [(True, True), (False, False), (None, False)])
def test_a_bar(progress: bool | None, shown: bool, capsys: pytest.CaptureFixture[str]) -> None:
    with bar_of(3, progress) as bar:
        bar.update(3)
    assert ("3/3" in capsys.readouterr().err) is shown  # without a terminal None is none
