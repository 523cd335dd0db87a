"""Files and folders are there whole, as they were, or not at all: also where the writer is killed or the disk is full."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import textwrap

import pytest

from embedkit.system.atomic import atomic_file, atomic_folder, move

resource = pytest.importorskip("resource")


def child(code: str, *arguments: object, limit: int | None = None) -> subprocess.CompletedProcess[str]:
    """A Python of its own, with at most ``limit`` bytes in each file that it writes."""

    def small():
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    env = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]
    return subprocess.run(command, env=env, capture_output=True, text=True, preexec_fn=small)


KILLED_FILE = """
    import os, signal, sys
    from embedkit.system.atomic import atomic_file
    with atomic_file(sys.argv[1]) as file:
        file.write(b"half"); file.flush()
        os.kill(os.getpid(), signal.SIGKILL)
"""
KILLED_FOLDER = """
    import os, signal, sys
    from pathlib import Path
    from embedkit.system.atomic import atomic_folder
    kill = lambda: os.kill(os.getpid(), signal.SIGKILL)
    if sys.argv[2] == "between":  # the old folder has gone and the new one has not come
        rename = Path.rename
        Path.rename = lambda self, to: kill() if str(to) == sys.argv[1] else rename(self, to)
    with atomic_folder(sys.argv[1]) as work:
        (work / "a").write_text("new")
        if sys.argv[2] == "within":
            kill()
"""


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_replaced_when_it_is_whole(tmp_path):
    target = tmp_path / "a"
    target.write_bytes(b"old")
    with atomic_file(target) as file:
        file.write(b"new")
        file.flush()
        assert target.read_bytes() == b"old"
    assert target.read_bytes() == b"new"
    assert names(tmp_path) == ["a"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_leaves_what_was_there(tmp_path, error):
    (tmp_path / "a").write_bytes(b"old")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "c").write_bytes(b"old")
    with pytest.raises(error), atomic_file(tmp_path / "a") as file:
        file.write(b"new")
        raise error
    with pytest.raises(error), atomic_folder(tmp_path / "b") as work:
        (work / "c").write_bytes(b"new")
        raise error
    assert names(tmp_path) == ["a", "b"]
    assert ((tmp_path / "a").read_bytes(), (tmp_path / "b" / "c").read_bytes()) == (b"old", b"old")


def test_a_folder_is_replaced_with_all_that_it_held(tmp_path):
    target = tmp_path / "b"
    for text in ("one", "two"):
        with atomic_folder(target) as work:
            (work / text).mkdir()
            (work / text / "c").write_text(text)
    assert names(tmp_path) == ["b"]
    assert names(target) == ["two"]
    assert (target / "two" / "c").read_text() == "two"


def test_a_killed_writer_of_a_file_leaves_the_old_one_and_the_next_tidies_up(tmp_path):
    target = tmp_path / "a"
    target.write_bytes(b"old")
    assert child(KILLED_FILE, target).returncode == -9
    assert target.read_bytes() == b"old"
    assert len(names(tmp_path)) == 2
    with atomic_file(target) as file:
        file.write(b"new")
    assert (names(tmp_path), target.read_bytes()) == (["a"], b"new")


@pytest.mark.parametrize("moment", ["within", "between"])
@pytest.mark.parametrize("fails", [False, True])
def test_a_killed_writer_of_a_folder_loses_nothing(tmp_path, moment, fails):
    target = tmp_path / "b"
    with atomic_folder(target) as work:
        (work / "a").write_text("old")
    assert child(KILLED_FOLDER, target, moment).returncode == -9
    assert target.exists() == (moment == "within")
    try:
        with atomic_folder(target) as work:
            assert (target / "a").read_text() == "old"  # given back by now
            (work / "a").write_text("newer")
            assert not fails
    except AssertionError:
        assert fails
    assert names(tmp_path) == ["b"]
    assert (target / "a").read_text() == ("old" if fails else "newer")


def test_what_a_living_process_writes_is_left_alone(tmp_path):
    with atomic_file(tmp_path / "a") as one, atomic_file(tmp_path / "a") as other:
        one.write(b"one")
        other.write(b"other")
        assert len(names(tmp_path)) == 2
    assert (names(tmp_path), (tmp_path / "a").read_bytes()) == (["a"], b"one")


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_full_disk_is_said_and_leaves_what_was_there(tmp_path, kind):
    target = tmp_path / "a"
    if kind == "file":
        target.write_bytes(b"old")
    else:
        target.mkdir()
        (target / "c").write_bytes(b"old")
    code = f"""
        import sys
        from pathlib import Path
        from embedkit.system.atomic import atomic_file, atomic_folder
        try:
            with atomic_{kind}(sys.argv[1]) as place:
                file = place if {kind == "file"} else (place / "c").open("wb")
                file.write(bytes(100_000))
                file.close()
        except OSError as error:
            print(error.errno)
    """
    done = child(code, target, limit=50_000)
    assert (done.stdout.strip(), done.stderr) == (str(errno.EFBIG), "")
    assert names(tmp_path) == ["a"]
    assert (target if kind == "file" else target / "c").read_bytes() == b"old"


def test_what_cannot_be_made_is_an_error_of_the_system(tmp_path):
    with pytest.raises(FileNotFoundError), atomic_file(tmp_path / "none" / "a"):
        pass
    with pytest.raises(FileNotFoundError), atomic_folder(tmp_path / "none" / "a"):
        pass


def test_moving_a_written_file(tmp_path):
    (tmp_path / "part").write_bytes(b"new")
    (tmp_path / "a").write_bytes(b"old")
    move(tmp_path / "part", tmp_path / "a")
    assert (names(tmp_path), (tmp_path / "a").read_bytes()) == (["a"], b"new")
