"""Encoders side by side on a task."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from ..encoding import TextEncoder
from ..errors import InputError
from .bootstrap import Samples, interval, resampled
from .report import Difference, Estimate, EvaluationReport, Result
from .task import MEASURES, Task


def evaluate(
    task: Task,
    encoders: Mapping[str, TextEncoder | Callable[[], TextEncoder]],
    *,
    resamples: int = 1_000,
    seed: int = 0,
    confidence: float = 0.95,
    progress: bool = False,
) -> EvaluationReport:
    """Measure each of ``encoders`` (name -> an encoder, or what loads it when its turn comes) on a task.

    Each measure has a percentile interval by the bootstrap: ``resamples`` draws of the task's units with ``seed``; 0 for
    none. Beside the first encoder the others have their difference to it, whose interval is of the differences on the
    same draws: one that leaves out 0 is no accident of these units. The same input gives the same report.

    Raises `InputError` for data or options that cannot be used, `MissingExtraError` without the extra ``eval``.
    """
    if not encoders:
        raise InputError("encoders: expected at least one, found none")
    if isinstance(resamples, bool) or not isinstance(resamples, int) or resamples < 0:
        raise InputError(f"resamples: expected an integer of at least 0, found {resamples!r}")
    if not 0 < confidence < 1:
        raise InputError(f"confidence: expected a number between 0 and 1, such as 0.95, found {confidence!r}")
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise InputError(f"seed: expected an integer of at least 0, found {seed!r}")
    results: list[Result] = []
    first: Samples = {}
    for name, given in encoders.items():
        encoder = given if isinstance(given, TextEncoder) else given()
        texts, truncated = encoder.stats.texts, encoder.stats.truncated
        measured = task.measure(encoder, progress=progress)
        whole = {**measured.statistic(np.arange(measured.units)), **measured.fixed}
        samples = resampled(measured, resamples=resamples, seed=seed, progress=progress) if resamples else {}
        estimates = {}
        for measure in (one for one in MEASURES if one in whole):
            value = float(whole[measure])
            difference = None
            if results:
                ends = interval(samples[measure] - first[measure], confidence) if measure in samples else None
                difference = Difference(value - results[0].estimates[measure].value, ends)
            ends = interval(samples[measure], confidence) if measure in samples else None
            estimates[measure] = Estimate(value, ends, difference)
        first = first or samples
        texts, truncated = encoder.stats.texts - texts, encoder.stats.truncated - truncated
        about = (encoder.fingerprint, encoder.variant, encoder.engine, encoder.dim)
        results.append(Result(name, *about, texts, truncated, estimates))
    return EvaluationReport(
        task.name, task.source, dict(task.size), task.units, tuple(results), confidence, resamples, seed, task.notes
    )
