"""Loaded bundles: threads that they share, and values whichever way they are asked for."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import pytest

from embedkit import Encoder


def test_encoders_share_their_threads(bundle: Path) -> None:
    before = set(threading.enumerate())  # other encoders of this process may have threads of their own
    encoders = [Encoder.load(bundle, threads=3, variant="fp32", on_truncate="ignore") for _ in range(6)]
    for encoder in encoders:
        encoder.encode([f"text {i}" * (i % 9) for i in range(200)])
    started = [thread for thread in set(threading.enumerate()) - before if thread.name.startswith("embedkit_")]
    assert len(started) <= 3


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_an_encoder_works_after_a_fork(encoder: Encoder) -> None:
    expected = encoder.encode(["a", "b"])
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        signal.alarm(60)  # ends it where it hangs
        try:
            os.write(write, encoder.encode(["a", "b"]).tobytes())
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        assert pipe.read() == expected.tobytes()
    os.waitpid(child, 0)
