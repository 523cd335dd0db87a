"""Files that are not read again."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from embedkit.ingestion.readers.media import known
from embedkit.ingestion.readers.media.known import facts_of


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("EMBEDKIT_CACHE", str(tmp_path / "cache"))
    known._kept.cache_clear()
    yield tmp_path / "cache"
    known._kept.cache_clear()


class Reader:
    """What is told of a file, and how often it was read for that."""

    def __init__(self, path: Path) -> None:
        self.path, self.reads = path, 0

    def __call__(self, wanted: str = "image 1") -> dict[str, str]:
        return facts_of(str(self.path), wanted, self._read)

    def _read(self) -> dict[str, str]:
        self.reads += 1
        return {"text": self.path.read_text()}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "a.jpg"
    path.write_text("one")
    return path


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """An hour later."""
    monkeypatch.setattr(known.time, "time", lambda: time.monotonic_ns() / 1e9 + 1e12)


def test_a_file_of_the_same_size_and_times_is_read_once(file: Path, settled: None) -> None:
    tell = Reader(file)
    assert [tell(), tell(), Reader(file)()] == [{"text": "one"}] * 3
    assert tell.reads == 1
    tell("image 1 time")  # something else of it
    assert tell.reads == 2
    known._kept.cache_clear()  # as in another process
    other = Reader(file)
    assert other() == {"text": "one"}
    assert other.reads == 0


@pytest.mark.parametrize("kept_time", [False, True])
def test_a_file_that_was_changed_is_read_again(file: Path, kept_time: bool, settled: None) -> None:
    tell = Reader(file)
    tell()
    before = file.stat()
    file.write_text("two")  # of the same size
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns if kept_time else before.st_mtime_ns + 1))
    assert tell() == {"text": "two"}
    replaced = file.with_name("b.jpg")
    replaced.write_text("six")
    os.utime(replaced, ns=(before.st_atime_ns, before.st_mtime_ns))
    replaced.replace(file)
    assert tell() == {"text": "six"}
    assert tell.reads == 3


def test_what_was_written_just_now_is_not_known_yet(file: Path) -> None:
    tell = Reader(file)
    tell()
    tell()
    assert tell.reads == 2


def test_what_cannot_be_read_is_told_each_time(file: Path, settled: None) -> None:
    file.unlink()
    for _ in range(2):
        with pytest.raises(FileNotFoundError):
            Reader(file)()


def test_without_a_folder_to_write_files_are_read(file: Path, own_folder: Path, settled: None) -> None:
    own_folder.write_text("a file")
    tell = Reader(file)
    assert tell() == tell() == {"text": "one"}
    assert tell.reads == 2


def test_a_broken_table_costs_time_only(file: Path, own_folder: Path, settled: None) -> None:
    own_folder.mkdir()
    (own_folder / "media.sqlite").write_bytes(b"no table" * 1000)
    tell = Reader(file)
    assert tell() == tell() == {"text": "one"}


def test_old_files_are_forgotten(file: Path, monkeypatch: pytest.MonkeyPatch, settled: None) -> None:
    monkeypatch.setattr(known, "_MOST", 2)
    tell = Reader(file)
    for number in range(5):
        tell(f"image {number}")
    known._kept.cache_clear()
    tell("image 4")
    assert tell.reads == 5
    tell("image 0")
    assert tell.reads == 6
