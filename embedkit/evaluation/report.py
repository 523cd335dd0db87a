"""What an evaluation found, for people and for programs."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from .measures import described


@dataclass(frozen=True, slots=True)
class Difference:
    """How much more a measure is than the first encoder's, on the same units."""

    value: float
    interval: tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class Estimate:
    """A measure (NaN where it is undefined) with its interval, None for one that has none, and its difference to the
    first encoder's, None for the first."""

    value: float
    interval: tuple[float, float] | None
    difference: Difference | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """What one encoder reached: measure -> its estimate."""

    name: str
    fingerprint: str
    variant: str
    engine: str
    kind: str
    """Of its vectors: dense, sparse, multivector, ..."""
    dim: int
    texts: int
    """How many were encoded."""
    truncated: int
    """How many of them were longer than the model reads, and cut."""
    estimates: Mapping[str, Estimate]


@dataclass(frozen=True, slots=True)
class EvaluationReport:
    """What `evaluate` found. ``units`` were drawn ``resamples`` times with ``seed`` for intervals of ``confidence``."""

    task: str
    source: str
    size: Mapping[str, int]
    units: str
    results: tuple[Result, ...]
    confidence: float
    resamples: int
    seed: int
    notes: tuple[str, ...] = ()

    @property
    def measures(self) -> tuple[str, ...]:
        """The names of all measures that an encoder has, in their order."""
        return tuple(dict.fromkeys(name for result in self.results for name in result.estimates))

    @property
    def estimated(self) -> bool:
        """Whether any measure has an interval."""
        return any(estimate.interval for result in self.results for estimate in result.estimates.values())

    def to_json(self) -> str:
        """One JSON object on one line; null stands for what is undefined."""
        return json.dumps(_plain(asdict(self)), allow_nan=False)

    def __str__(self) -> str:
        first = self.results[0].name
        several = len(self.results) > 1
        head = ["measure", "encoder", "value", f"{100 * self.confidence:g} % interval"]
        rows = [head + ([f"minus {first}", "its interval"] if several else [])]
        for measure in self.measures:
            label, better = described(measure)
            name = f"{label} (lower is better)" if better < 0 else label
            having = [result for result in self.results if measure in result.estimates]
            for i, result in enumerate(having):
                estimate = result.estimates[measure]
                row = ["" if i else name, result.name, number(estimate.value), interval(estimate.interval)]
                if several and estimate.difference:
                    row += [signed(estimate.difference.value), interval(estimate.difference.interval, signed)]
                rows.append([*row, *[""] * (len(rows[0]) - len(row))])
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        table = [
            "  ".join(
                cell.ljust(width) if column < 2 else cell.rjust(width)
                for column, (cell, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in rows
        ]
        size = ", ".join(f"{count:,} {what}" for what, count in self.size.items())
        cut = [
            f"{result.name}: {result.truncated:,} of {result.texts:,} texts were longer than the model reads and were cut"
            for result in self.results
            if result.truncated
        ]
        how = f"intervals: {self.resamples:,} resamples of the {self.units}, seed {self.seed}" if self.estimated else ""
        return "\n".join(filter(None, [f"{self.task} on {self.source}: {size}", *self.notes, *table, how, *cut]))


def number(value: float) -> str:
    """A measure for reading."""
    return "-" if not math.isfinite(value) else f"{value:,.1f}" if abs(value) >= 1_000 else f"{value:.4f}"


def signed(value: float) -> str:
    """A difference for reading."""
    return f"+{number(value)}" if value > 0 else number(value)


def interval(ends: tuple[float, float] | None, form: Any = number) -> str:
    """An interval for reading; nothing where there is none."""
    return "" if ends is None else f"{form(ends[0])} to {form(ends[1])}"


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
