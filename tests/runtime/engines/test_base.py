"""What all engines have: several sessions as one, and how devices and engines are named."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from embedkit.runtime.engines.base import Session, Spread


class Counting(Session):
    """Counts how many runs it has at a time."""

    def __init__(self) -> None:
        self.runs = self.now = self.most = 0
        self.both = threading.Barrier(2, timeout=10)

    def run(self, inputs: Mapping[str, np.ndarray], outputs: Sequence[str]) -> list[np.ndarray]:
        self.now += 1
        self.most = max(self.most, self.now)
        self.runs += 1
        self.now -= 1
        return list(inputs.values())


def test_batches_are_spread_over_the_devices_one_at_a_time() -> None:
    devices = [Counting(), Counting()]
    spread = Spread(devices)

    def work() -> None:
        for _ in range(200):
            spread.run({"x": np.zeros(1)}, ["x"])

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(device.runs for device in devices) == 1200
    assert [device.most for device in devices] == [1, 1]
    assert all(device.runs for device in devices)


def test_several_sessions_have_the_shapes_of_one() -> None:
    class Rounding(Counting):
        def widths(self, lengths: np.ndarray, longest: int) -> np.ndarray:
            return np.minimum(lengths * 2, longest)

    spread = Spread([Rounding(), Rounding()])
    assert spread.widths is not None
    assert spread.widths(np.array([1, 7]), 9).tolist() == [2, 9]
    assert spread.rows is None


def test_a_device_that_fails_is_given_back() -> None:
    class Broken(Counting):
        def run(self, inputs: Mapping[str, np.ndarray], outputs: Sequence[str]) -> list[np.ndarray]:
            raise RuntimeError("lost")

    spread = Spread([Broken()])
    for _ in range(2):
        with pytest.raises(RuntimeError, match="lost"):
            spread.run({}, [])
