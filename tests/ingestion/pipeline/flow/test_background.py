from __future__ import annotations

import threading

import pytest

from embedkit.ingestion.pipeline.flow.background import Background


def test_results_come_in_order_and_wait_only_as_asked():
    gate = threading.Event()
    work = Background(lambda n: gate.wait(10) and n * n, stopping=threading.Event())
    for n in range(3):
        work.submit(n)
    assert list(work.finished(waiting=3)) == []
    gate.set()
    assert list(work.finished()) == [(0, 0), (1, 1), (2, 4)]
    assert list(work.stop()) == []


def test_after_an_error_no_further_job_is_begun():
    begun = []

    def run(n):
        begun.append(n)
        if n == 1:
            raise ValueError("broken")
        return n

    work = Background(run, stopping=threading.Event())
    for n in range(5):
        work.submit(n)
    results = work.finished()
    assert next(results) == (0, 0)
    with pytest.raises(ValueError, match="broken"):
        next(results)
    assert list(work.stop()) == []
    assert begun == [0, 1]


def test_stopping_lets_the_job_in_hand_end():
    started, gate = threading.Event(), threading.Event()
    stopping = threading.Event()

    def run(n):
        started.set()
        gate.wait(10)
        return n

    work = Background(run, stopping=stopping)
    for n in range(3):
        work.submit(n)
    started.wait(10)
    threading.Timer(0.05, gate.set).start()
    assert list(work.stop()) == [(0, 0)]
    assert stopping.is_set()
