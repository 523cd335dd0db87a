"""A change is told of once it is over, none is lost, and what does not count is not told of."""

from __future__ import annotations

import os

import pytest

from embedkit.ingestion.readers.changes import Changes


class Script:
    """Waits that do something instead: each a function, or a number of seconds that is expected; it is time to end when they are over."""

    def __init__(self, *steps):
        self.steps, self.seconds = list(steps), []

    def __call__(self, seconds):
        self.seconds.append(seconds)
        if self.steps and (step := self.steps.pop(0)):
            step()
        return not self.steps


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "f" / "deep").mkdir(parents=True)
    (tmp_path / "f" / "a.txt").write_text("a")
    (tmp_path / "f" / "deep" / "b.txt").write_text("b")
    return tmp_path / "f"


def moments(folder, *steps, ignored=(), seconds=1.0):
    """How many moments there were, the waits that were left before each, and all waits."""
    script = Script(*steps)
    left = [len(script.steps) for _ in Changes([str(folder)], seconds, ignored).moments(script)]
    return left, script.seconds


def test_without_a_change_there_is_one_moment(folder):
    assert moments(folder, None, None, None) == ([3], [1.0] * 3)


@pytest.mark.parametrize(
    "change",
    [
        lambda f: (f / "a.txt").write_text("A"),
        lambda f: (f / "deep" / "new.txt").write_text("new"),
        lambda f: (f / "deep" / "b.txt").unlink(),
        lambda f: (f / "a.txt").rename(f / "c.txt"),
        lambda f: (f / "deep" / "b.txt").replace(f / "a.txt"),
    ],
    ids=["written", "new", "gone", "renamed", "replaced"],
)
def test_a_change_is_told_of_when_all_is_still(folder, change):
    assert moments(folder, None, lambda: change(folder), None, None, None) == ([5, 2], [1.0] * 5)


def test_writing_that_goes_on_is_waited_for(folder):
    def more():
        with (folder / "a.txt").open("a") as file:
            file.write("more")

    assert moments(folder, more, more, more, None, None)[0] == [5, 1]
    # and not for ever
    left, _ = moments(folder, *[more] * 30)
    assert left[:2] == [30, 19]


def test_what_changed_while_it_was_read_is_told_of(folder):
    script = Script(None, None, None, None)
    seen = []
    for number, _ in enumerate(Changes([str(folder)], 1.0).moments(script)):
        seen.append((folder / "a.txt").read_text())
        if number == 0:
            (folder / "a.txt").write_text("changed meanwhile")
    assert seen == ["a", "changed meanwhile"]


def test_what_changed_before_the_end_is_told_of(folder):
    assert moments(folder, None, lambda: (folder / "a.txt").write_text("last"))[0] == [2, 0]
    assert moments(folder, lambda: (folder / "a.txt").write_text("and"), None)[0] == [2, 0]


def test_hidden_files_dead_letters_and_what_is_ignored_do_not_count(folder):
    def write():
        (folder / ".hidden").write_text("x")
        (folder / "docs.dead.jsonl").write_text("x")
        for name in ("index.db", "index.db-wal", "store/x", "store/y/z"):
            (folder / name).parent.mkdir(exist_ok=True, parents=True)
            (folder / name).write_text("x")

    ignored = [str(folder / "index.db"), os.path.relpath(folder / "store")]
    assert moments(folder, write, None, None, ignored=ignored)[0] == [3]
    assert moments(folder, lambda: (folder / "store2.txt").write_text("x"), None, None, ignored=ignored)[0] == [3, 1]


def test_one_file_that_comes_goes_and_comes(tmp_path):
    path = tmp_path / "a.jsonl"
    steps = (lambda: path.write_text("1"), None, path.unlink, None, lambda: path.write_text("2"), None, None)
    assert moments(path, *steps)[0] == [7, 5, 3, 1]


def test_after_a_failure_it_is_told_of_again_in_longer_and_longer_pauses(folder):
    script = Script(*[None] * 12)
    changes, told = Changes([str(folder)], 1.0), 0
    for _ in changes.moments(script):
        told += 1
        if told <= 4:
            changes.failed()
    assert told == 5
    assert script.seconds == [2.0, 1.0, 4.0, 1.0, 8.0, 1.0, 16.0, 1.0, 1.0, 1.0, 1.0, 1.0]


def test_a_folder_that_cannot_be_listed_is_a_change_and_no_error(folder, tmp_path):
    assert moments(folder, lambda: folder.rename(tmp_path / "elsewhere"), None, None)[0] == [3, 1]


def test_addresses(monkeypatch):
    fsspec = pytest.importorskip("fsspec")
    pytest.importorskip("aiohttp")
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    memory.pipe({"/b/f/x": b"1", "/b/f/y": b"1"})
    assert moments("memory://b/f", None, None)[0] == [2]
    assert moments("memory://b/f", lambda: memory.pipe("/b/f/x", b"2"), None, None)[0] == [3, 1]
    assert moments("memory://b/f/y", lambda: memory.pipe("/b/f/x", b"3"), None, None)[0] == [3]

    def refuse(*given, **named):
        raise PermissionError("away")

    def away():
        monkeypatch.setattr(type(memory), "info", refuse)

    assert moments("memory://b/f", away, None, monkeypatch.undo, None)[0] == [4]
    memory.store.clear()
