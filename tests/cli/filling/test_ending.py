"""The first signal ends a wait and lets work end; the second one interrupts that."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from embedkit.cli.filling.ending import Ending

SIGNALS = [signal.SIGINT, signal.SIGTERM]


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_ends_a_wait(number, capfd):
    before = signal.getsignal(number)
    with Ending() as ending:
        assert not ending.wait(0.0)
        assert not ending.asked
        waker = threading.Timer(0.1, os.kill, (os.getpid(), number))
        waker.start()
        assert ending.wait(600)
        assert ending.wait(600)
        assert ending.asked
        waker.join()
    assert signal.getsignal(number) is before
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("number", SIGNALS)
def test_work_comes_to_its_end_and_a_second_signal_interrupts_it(number, capfd):
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt), Ending() as ending:
        os.kill(os.getpid(), number)
        assert ending.asked
        assert ending.wait(600)
        os.kill(os.getpid(), signal.SIGTERM)
        raise AssertionError("it was not interrupted")
    assert signal.getsignal(number) is before
    assert capfd.readouterr().err == "ending when this round is over; once more to stop at once\n"
