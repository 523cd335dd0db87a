"""What blocks is run beside the loop, with its parameters, its answer and its errors."""

from __future__ import annotations

import asyncio
import inspect
import threading

import pytest

from embedkit.system.threads import awaited


def test_a_function_is_run_on_another_thread_while_the_loop_goes_on():
    going = threading.Event()

    def blocking(a: int, *, b: int = 2) -> tuple[int, threading.Thread]:
        assert going.wait(30)
        return a + b, threading.current_thread()

    call = awaited(blocking, __name__, "acall", "Waits.")

    async def both() -> tuple[int, threading.Thread]:
        task = asyncio.create_task(call(1, b=4))
        await asyncio.sleep(0)
        going.set()  # by the loop, which is not held up
        return await task

    total, thread = asyncio.run(both())
    assert total == 5
    assert thread is not threading.main_thread()
    assert (call.__name__, call.__doc__) == ("acall", "Waits.")
    assert inspect.signature(call) == inspect.signature(blocking)
    assert inspect.iscoroutinefunction(call)


def test_what_it_raises_is_raised():
    def failing() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        asyncio.run(awaited(failing, __name__, "afailing", "")())
