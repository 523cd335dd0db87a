"""A bundle is written whole or not at all."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from embedkit import BundleError
from embedkit.bundle.writer import check_target, writing


def test_writing_is_all_or_nothing(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "bundle"
    with pytest.raises(RuntimeError, match="cut"), writing(target) as folder:
        (folder / "half").write_text("x")
        raise RuntimeError("cut")
    assert list(target.parent.iterdir()) == []
    with writing(target) as folder:
        (folder / "whole").write_text("x")
    assert [path.name for path in target.parent.iterdir()] == ["bundle"]
    assert (target / "whole").read_text() == "x"


def test_what_may_be_overwritten(tmp_path: Path, tiny: Path) -> None:
    check_target(tmp_path / "new", overwrite=False)
    (tmp_path / "empty").mkdir()
    check_target(tmp_path / "empty", overwrite=False)
    with pytest.raises(BundleError, match="pass --overwrite"):
        check_target(tiny, overwrite=False)
    check_target(tiny, overwrite=True)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("")
    for overwrite in (False, True):
        with pytest.raises(BundleError, match="other files than a bundle"):
            check_target(tmp_path / "other", overwrite=overwrite)
    with writing(tiny, overwrite=True) as folder:
        (folder / "embedkit.json").write_text("new")
    assert (tiny / "embedkit.json").read_text() == "new"
    assert not list(tmp_path.glob(".*partial*"))


def test_a_killed_export_leaves_nothing_in_the_way(tmp_path: Path) -> None:
    target = tmp_path / "bundle"
    code = f"""
        import time
        from embedkit.bundle import writing
        with writing({str(target)!r}) as folder:
            (folder / "half").write_text("x")
            print("ready", flush=True)
            time.sleep(60)
    """
    child = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    child.stdout.close()
    assert not target.exists()
    assert len(list(tmp_path.glob(".bundle.partial-*"))) == 1
    with writing(target) as folder:
        (folder / "whole").write_text("x")
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]
