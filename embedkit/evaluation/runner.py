"""Encoders side by side on tasks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from embedkit.checks import integer, items_of, real
from embedkit.encoders.base import BaseEncoder
from embedkit.encoders.info import check_encoder
from embedkit.errors import InputError
from embedkit.evaluation.tasks.task import Task

from .bootstrap import Samples, interval, resampled
from .report import Difference, Estimate, EvaluationReport, Result

Encoders: TypeAlias = Mapping[str, BaseEncoder | Callable[[], BaseEncoder]]
"""Name -> an encoder, or what loads it when its turn comes."""

MAX_RESAMPLES = 1_000_000
"""Draws for an interval at most: no more of them change it, and a run ends."""


def evaluate(
    task: Task,
    encoders: Encoders,
    *,
    resamples: int = 1_000,
    seed: int = 0,
    confidence: float = 0.95,
    progress: bool = False,
) -> EvaluationReport:
    """Measure each of ``encoders`` on a task: `evaluate_all` for one task."""
    options: Any = {"resamples": resamples, "seed": seed, "confidence": confidence, "progress": progress}
    return evaluate_all([task], encoders, **options)[0]


def evaluate_all(
    tasks: Sequence[Task],
    encoders: Encoders,
    *,
    resamples: int = 1_000,
    seed: int = 0,
    confidence: float = 0.95,
    progress: bool = False,
) -> list[EvaluationReport]:
    """Measure each of ``encoders`` on each of ``tasks``; a report for each task. One encoder is loaded at a time.

    Each measure has a percentile interval by the bootstrap: ``resamples`` draws of the task's units with ``seed`` (at most
    `MAX_RESAMPLES`); 0 for none. Beside the first encoder the others have their difference to it, whose interval is of the differences on the
    same draws: one that leaves out 0 is no accident of these units. The same input gives the same report.

    Raises `InputError` for data or options that cannot be used, `MissingExtraError` without the extra ``eval``.
    """
    from tqdm import tqdm

    tasks = list(items_of("tasks", tasks, "task"))
    if not tasks:
        raise InputError("tasks: expected at least one, found none")
    for task in tasks:
        if not isinstance(task, Task):
            raise InputError(f"task: expected one such as embedkit.evaluation.Retrieval, found {type(task).__name__}")
    if not isinstance(encoders, Mapping):
        raise InputError(f"encoders: expected a mapping from names to encoders, found {type(encoders).__name__}")
    if not encoders:
        raise InputError("encoders: expected at least one, found none")
    for given in encoders.values():
        if not callable(given):
            check_encoder(given)
    integer("resamples", resamples, least=0, most=MAX_RESAMPLES)
    if not 0 < real("confidence", confidence) < 1:
        raise InputError(f"confidence: expected a number between 0 and 1, such as 0.95, found {confidence!r}")
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise InputError(f"seed: expected an integer of at least 0, found {seed!r}")
    results: list[list[Result]] = [[] for _ in tasks]
    first: list[Samples] = []
    with tqdm(total=len(tasks) * len(encoders), unit="measurement", disable=not progress) as bar:
        for name, given in encoders.items():
            encoder = given if isinstance(given, BaseEncoder) else given()
            check_encoder(encoder)
            for place, task in enumerate(tasks):
                bar.set_description(f"{name}, {task.name}")
                texts, truncated = encoder.stats.texts, encoder.stats.truncated
                measured = task.measure(encoder, progress=progress)
                samples = resampled(measured, resamples=resamples, seed=seed, progress=progress) if resamples else {}
                whole = {**measured.statistic(np.arange(measured.units)), **measured.fixed}
                if len(first) <= place:
                    first.append(samples)
                beside = results[place][0] if results[place] else None
                estimates = _estimates(whole, samples, beside, first[place], confidence)
                texts, truncated = encoder.stats.texts - texts, encoder.stats.truncated - truncated
                about = (encoder.fingerprint, encoder.variant, encoder.engine, encoder.kind, encoder.dim)
                results[place].append(Result(name, *about, texts, truncated, estimates))
                bar.update()
    return [
        EvaluationReport(
            task.name, task.source, dict(task.size), task.units, tuple(found), confidence, resamples, seed, task.notes
        )
        for task, found in zip(tasks, results, strict=True)
    ]


def _estimates(
    whole: Mapping[str, float], samples: Samples, beside: Result | None, first: Samples, confidence: float
) -> dict[str, Estimate]:
    """The measures with their intervals, and with their differences to the result ``beside`` where that has them."""
    estimates = {}
    for measure, value in whole.items():
        difference = None
        if beside is not None and measure in beside.estimates:
            pairs = samples[measure] - first[measure] if measure in samples and measure in first else None
            ends = None if pairs is None else interval(pairs, confidence)
            difference = Difference(value - beside.estimates[measure].value, ends)
        ends = interval(samples[measure], confidence) if measure in samples else None
        estimates[measure] = Estimate(value, ends, difference)
    return estimates
