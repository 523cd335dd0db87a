"""The end of a command that has none of its own: Ctrl-C, or SIGTERM."""

from __future__ import annotations

import os
import select
import signal
import socket
from types import FrameType, TracebackType


class Ending:
    """Within the block the first SIGINT or SIGTERM ends a `wait`, and lets what runs come to its end; a second one interrupts that, as
    Ctrl-C does."""

    def __init__(self) -> None:
        self.asked = False
        """Whether it is time to end."""
        self._waiting = False

    def __enter__(self) -> Ending:
        self._woken, self._waking = socket.socketpair()
        self._before = {number: signal.signal(number, self._ask) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._woken.close()
        self._waking.close()

    def wait(self, seconds: float) -> bool:
        """Wait so long, or until it is time to end; whether it is."""
        self._waiting = True
        try:
            if not self.asked:
                select.select([self._woken], [], [], seconds)
        finally:
            self._waiting = False
        return self.asked

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        self._waking.send(b"\0")
        if not self._waiting:  # what print would write to may be in the middle of a line
            os.write(2, b"ending when this round is over; once more to stop at once\n")
