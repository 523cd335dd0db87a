"""One text on several threads: when it is, and the bytes that it gives."""

from __future__ import annotations

import gc
import os
import signal
import threading
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from embedkit import Encoder
from embedkit.runtime.engines.base import Session
from embedkit.runtime.threads.alone import SLOTS
from embedkit.testing.tiny import tiny_bundle

TEXTS = ["a" * 200, "so " * 60, "other words " * 15]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bundle(tmp_path_factory.mktemp("alone") / "bundle", max_tokens=SLOTS.stop + 63, dim=96)


class Counted(Session):
    """Another session's outputs, moved by ``by``, and how often they were asked for."""

    def __init__(self, session: Session, by: float = 0.0) -> None:
        self.session, self.by, self.runs = session, np.float32(by), 0

    def run(self, inputs: Mapping[str, npt.NDArray[Any]], outputs: Sequence[str]) -> list[npt.NDArray[np.float32]]:
        self.runs += 1
        return [found + self.by for found in self.session.run(inputs, outputs)]


def _load(folder: Path, variant: str, monkeypatch: pytest.MonkeyPatch, by: float = 0.0) -> tuple[Encoder, Counted]:
    """An encoder of four threads, of which the session of several threads is counted."""
    monkeypatch.setenv("EMBEDKIT_CACHE", str(folder.with_name(f"cache{by}")))
    encoder = Encoder.load(folder, variant=variant, threads=4)
    own = encoder.loaded.towers["default"].session
    several = own.on_threads(4)
    assert several is not None
    counted = Counted(several, by)
    monkeypatch.setattr(own, "on_threads", lambda count: counted if count == 4 else None)
    monkeypatch.setattr(encoder.loaded, "begin", lambda what: what())  # now, and not on another thread
    return encoder, counted


@pytest.mark.parametrize("variant", ["fp32", "int8"])
def test_a_text_alone_is_computed_by_several_threads_to_the_same_bytes(
    variant: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = Encoder.load(folder, variant=variant, threads=1)
    encoder, counted = _load(folder, variant, monkeypatch)
    expected = [one.encode(text).tobytes() for text in TEXTS]
    assert encoder.encode(TEXTS[0]).tobytes() == expected[0]
    assert not counted.runs, "one such request is not worth a second session"
    assert encoder.encode(TEXTS[0]).tobytes() == expected[0]
    proved = counted.runs - 1
    assert proved > 8
    assert [encoder.encode(text).tobytes() for text in TEXTS] == expected
    assert counted.runs == proved + 1 + len(TEXTS)
    assert encoder.encode(TEXTS).tobytes() == b"".join(expected)


def test_it_is_the_usual_session_for_what_is_small_or_large_or_not_alone(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder, counted = _load(folder, "fp32", monkeypatch)
    for _ in range(2):
        encoder.encode(TEXTS[0])
    proved = counted.runs
    assert proved
    encoder.encode(["a", "b" * (SLOTS.start // 2)])
    encoder.encode("c" * SLOTS.stop)
    encoder.encode(["d" * (SLOTS.stop - 41 + i) for i in range(8)])
    own, first, ended = encoder.loaded.towers["default"].session, iter([True]), threading.Event()
    run = own.run

    def held(inputs: Mapping[str, npt.NDArray[Any]], outputs: Sequence[str]) -> list[npt.NDArray[np.float32]]:
        assert not next(first, False) or ended.wait(60)
        return run(inputs, outputs)

    monkeypatch.setattr(own, "run", held)
    ((_, running),) = encoder.loaded.submit("default", encoder.loaded.fill("default", ["short"]))
    encoder.encode(TEXTS[0])
    assert counted.runs == proved
    ended.set()
    running.result()
    encoder.encode(TEXTS[0])
    assert counted.runs == proved + 1


def test_a_session_that_gives_other_bytes_is_never_used(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = Encoder.load(folder, variant="fp32", threads=1)
    encoder, counted = _load(folder, "fp32", monkeypatch, by=1e-7)
    for _ in range(3):
        encoder.encode(TEXTS[0])
    assert counted.runs == 1, "the first item that is compared tells"
    assert encoder.encode(TEXTS[1]).tobytes() == one.encode(TEXTS[1]).tobytes()


def test_a_bundle_is_let_go_with_its_sessions(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder, counted = _load(folder, "fp32", monkeypatch)
    for _ in range(3):
        encoder.encode(TEXTS[0])
    assert counted.runs
    monkeypatch.undo()
    loaded = weakref.ref(encoder.loaded)
    gc.disable()  # a circle would wait for it, with all weights
    try:
        del encoder
        assert loaded() is None
    finally:
        gc.enable()


def test_one_thread_has_no_other(folder: Path) -> None:
    assert Encoder.load(folder, variant="fp32", threads=1).loaded.alone is None


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_a_forked_process_goes_without(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder, counted = _load(folder, "fp32", monkeypatch)
    for _ in range(3):
        expected = encoder.encode(TEXTS[0])
    assert counted.runs
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        signal.alarm(60)  # ends it where it hangs
        try:
            os.write(write, encoder.encode(TEXTS[0]).tobytes())
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        assert pipe.read() == expected.tobytes()
    os.waitpid(child, 0)


def test_it_is_opened_beside_what_is_computed(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMBEDKIT_CACHE", str(tmp_path))
    encoder = Encoder.load(folder, variant="fp32", threads=2)
    expected = Encoder.load(folder, variant="fp32", threads=1).encode(TEXTS[0])
    own, opened = encoder.loaded.towers["default"].session, threading.Event()
    on_threads = own.on_threads

    def noted(count: int) -> Session | None:
        opened.set()
        return on_threads(count)

    monkeypatch.setattr(own, "on_threads", noted)
    for _ in range(2):
        assert encoder.encode(TEXTS[0]).tobytes() == expected.tobytes()
    assert opened.wait(60)
    assert encoder.encode(TEXTS[0]).tobytes() == expected.tobytes()
