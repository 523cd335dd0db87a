"""A task of one's own, with what the runner asks of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pytest

from embedkit.evaluation import Measured, Task, evaluate
from helpers.measured import Written


@dataclass(frozen=True)
class Lengths(Task):
    """The mean length of vectors; its size is a field."""

    texts: tuple[str, ...]
    size: Mapping[str, int] = field(default_factory=lambda: {"texts": 2})

    name, source, units = "lengths", "here", "texts"

    def measure(self, encoder, *, progress=False):
        lengths = np.linalg.norm(encoder.encode(list(self.texts)), axis=1)
        return Measured(len(lengths), lambda rows: {"accuracy": float(lengths[rows].mean())})


def test_a_task_of_ones_own_is_run():
    report = evaluate(Lengths(("a", "b")), {"one": Written({"a": (3, 4), "b": (0, 1)})}, resamples=20)
    estimate = report.results[0].estimates["accuracy"]
    assert estimate.value == pytest.approx(3.0)
    assert estimate.interval == pytest.approx((1.0, 5.0))
    assert (report.task, report.size, report.units, report.notes) == ("lengths", {"texts": 2}, "texts", ())


def test_a_task_measures():
    class Idle(Task):
        name = "idle"

    with pytest.raises(TypeError, match="measure"):
        Idle()


def test_nothing_is_fixed_unless_said():
    assert Measured(3, lambda rows: {}).fixed == {}
