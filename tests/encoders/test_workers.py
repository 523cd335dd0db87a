"""Worker processes: killed ones are replaced, nothing is left behind, and work is cut in even pieces."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from embedkit import Encoder, EncoderPool, WorkerError
from embedkit.encoders.workers import pieces as cut_in_pieces
from helpers.texts import mixed


def test_a_killed_worker_is_replaced_and_its_texts_encoded_again(bundle: Path, encoder: Encoder) -> None:
    many = mixed(6000, longest=30, seed=3)
    expected = encoder.encode(many)
    with EncoderPool.load(bundle, workers=2, variant="fp32", on_truncate="ignore") as pool:
        before = pool.workers
        parts = pool.stream(many)
        first = next(parts)
        os.kill(before[0], signal.SIGKILL)
        with pytest.warns(RuntimeWarning, match=f"worker process {before[0]} was ended by SIGKILL; another takes"):
            found = np.concatenate([first, *parts])
        assert found.tobytes() == expected.tobytes()
        assert pool.workers[0] != before[0]
        for worker in pool.workers:  # idle ones, all of them
            os.kill(worker, signal.SIGKILL)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            assert pool.encode(many[:500]).tobytes() == expected[:500].tobytes()


class _Fatal(dict[str, str]):
    """Kills the process that it is sent to."""

    def __reduce__(self) -> tuple[object, tuple[int, int]]:
        return _kill, (0, signal.SIGKILL)


def _kill(_: int, number: int) -> Mapping[str, str]:
    os.kill(os.getpid(), number)
    raise AssertionError


def test_texts_that_end_every_worker_are_an_error(
    bundle: Path, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    with EncoderPool.load(bundle, workers=1, variant="fp32") as pool:
        with monkeypatch.context() as patch:
            patch.setattr(type(pool.modality()), "portable", lambda self, item: item)
            [(_, part)] = pool.source.submit("default", [_Fatal(text="x")], ["dense"])
        with pytest.warns(RuntimeWarning) as warned, pytest.raises(WorkerError, match="SIGKILL, as 2 before it did"):
            part.result()
        assert len([w for w in warned if "another takes its place" in str(w.message)]) == 2
        assert pool.encode("fine").tobytes() == encoder.encode("fine").tobytes()


@pytest.mark.parametrize("closing", ["pool.close()", "del pool", "", "os.kill(os.getpid(), 9)"])
def test_nothing_is_left_behind(bundle: Path, tmp_path: Path, closing: str) -> None:
    script = tmp_path / "program.py"
    script.write_text(
        f"""
import os
from embedkit import EncoderPool

if __name__ == "__main__":
    pool = EncoderPool.load({str(bundle)!r}, workers=2, on_truncate="ignore")
    pool.encode([str(i) for i in range(300)])
    names = [worker._memory.name for worker in pool._crew.workers]
    print(*pool.workers, *names, flush=True)
    {closing}
"""
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    # The pipes are closed when the workers and the resource tracker have ended too.
    done = subprocess.run([sys.executable, script], env=env, capture_output=True, text=True, timeout=120)
    *pids, first, second = done.stdout.split()
    assert len(pids) == 2
    assert not any(map(_runs, pids))
    if Path("/dev/shm").is_dir():
        assert not {first, second} & {path.name for path in Path("/dev/shm").iterdir()}
    if "kill" not in closing:
        assert (done.returncode, done.stderr) == (0, "")


def _runs(pid: str) -> bool:
    """Whether the process is there, and not only its exit code, which an orphan's may stay."""
    status = Path("/proc", pid, "stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"


def test_a_program_without_a_guard_is_told(bundle: Path, tmp_path: Path) -> None:
    script = tmp_path / "program.py"
    script.write_text(f"from embedkit import EncoderPool\nEncoderPool.load({str(bundle)!r}, workers=1)\n")
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run([sys.executable, script], env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert "if __name__ == '__main__':" in done.stderr.strip().splitlines()[-1]


def test_pieces_hold_every_row_once_and_about_as_much_text() -> None:
    rng = np.random.default_rng(0)
    for count, workers in ((1, 2), (40, 2), (2048, 3), (2048, 16)):
        sizes = (rng.random(count) ** 4 * 2000).astype(np.int64)
        pieces = cut_in_pieces(sizes, workers)
        assert sorted(np.concatenate(pieces).tolist()) == list(range(count))
        assert max(map(len, pieces)) <= 256
        if count > 1000:
            amounts = [int((sizes[piece] + 16).sum()) for piece in pieces]
            assert max(amounts) <= 2 * (sum(amounts) / (4 * workers) + sizes.max())
    assert np.concatenate(cut_in_pieces(np.zeros(600, np.int64), 2)).tolist() == list(range(600))
