"""Where small facts are kept, and that losing them, or having no place for them, is no error."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from embedkit.system import cache


@pytest.mark.skipif(sys.platform != "linux", reason="the folder of Linux")
@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"EMBEDKIT_CACHE": "/a", "XDG_CACHE_HOME": "/b", "HOME": "/c"}, "/a"),
        ({"XDG_CACHE_HOME": "/b", "HOME": "/c"}, "/b/embedkit"),
        ({"EMBEDKIT_CACHE": "", "XDG_CACHE_HOME": "", "HOME": "/c"}, "/c/.cache/embedkit"),
        ({"HOME": "/c"}, "/c/.cache/embedkit"),
    ],
)
def test_the_folder(monkeypatch, environment, expected):
    for name in ("EMBEDKIT_CACHE", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert cache.folder() == Path(expected)


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="users of POSIX")
def test_a_user_without_a_home_has_a_folder_all_the_same():
    code = """
import pwd
def nobody(uid): raise KeyError(uid)
pwd.getpwuid = nobody
from embedkit.system import cache
assert cache.recall({"a": 1}) is None
print(cache.folder())
"""
    kept = {
        name: value for name, value in os.environ.items() if name not in ("HOME", "EMBEDKIT_CACHE", "XDG_CACHE_HOME")
    }
    env = {**kept, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    folder = Path(done.stdout.strip())
    assert folder.is_absolute()
    assert folder.name == f"embedkit-{os.getuid()}"


def test_what_is_remembered_is_recalled_by_an_equal_key(monkeypatch, tmp_path):
    monkeypatch.setenv("EMBEDKIT_CACHE", str(tmp_path / "cache"))
    assert cache.recall({"a": 1, "b": [2]}) is None
    cache.remember({"a": 1, "b": [2]}, {"engine": "x"})
    assert cache.recall({"b": [2], "a": 1}) == {"engine": "x"}
    assert cache.recall({"a": 1, "b": [3]}) is None
    [file] = (tmp_path / "cache").iterdir()
    file.write_text("{broken")
    assert cache.recall({"a": 1, "b": [2]}) is None


def test_a_folder_that_cannot_be_made_is_no_error(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("EMBEDKIT_CACHE", str(tmp_path / "file"))
    cache.remember({"a": 1}, {"b": 2})
    assert cache.recall({"a": 1}) is None


def test_a_check_is_made_until_it_is_true(monkeypatch, tmp_path):
    monkeypatch.setenv("EMBEDKIT_CACHE", str(tmp_path / "cache"))
    answers = [False, True]
    assert not cache.once({"a": 1}, lambda: answers.pop(0))
    assert cache.once({"a": 1}, lambda: answers.pop(0))
    assert cache.once({"a": 1}, lambda: answers.pop(0))
    assert not answers
    assert not cache.once({"a": 2}, lambda: False)


def test_only_so_many_files_are_kept(monkeypatch, tmp_path):
    monkeypatch.setenv("EMBEDKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(cache, "_MOST", 3)
    for number in range(5):
        cache.remember({"number": number}, {"kept": number})
        [os.utime(file, (number, number)) for file in (tmp_path / "cache").iterdir() if file.stat().st_mtime > 5]
    assert [cache.recall({"number": number}) is not None for number in range(5)] == [False, False, True, True, True]
