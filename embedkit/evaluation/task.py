"""What every task is: data that an encoder's vectors are measured on."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from embedkit.encoders.base import TextEncoder

from ..errors import InputError

Rows: TypeAlias = npt.NDArray[np.intp]

MEASURES = {
    "ndcg": ("nDCG", 1),
    "recall": ("recall", 1),
    "mrr": ("MRR", 1),
    "precision": ("precision", 1),
    "map": ("MAP", 1),
    "mrv": ("mean rank variance", -1),
    "spearman": ("Spearman", 1),
    "pearson": ("Pearson", 1),
    "accuracy": ("accuracy", 1),
    "f1": ("F1", 1),
    "macro_f1": ("macro F1", 1),
    "average_precision": ("average precision", 1),
    "auc": ("AUC", 1),
    "threshold": ("threshold", 0),
    "partner_rank": ("partner's mean rank", -1),
    "alignment": ("alignment", -1),
    "uniformity": ("uniformity", -1),
    "isotropy": ("isotropy", 1),
    "token_isotropy": ("isotropy of tokens", 1),
}
"""Measure (without the depth that may follow, as in ``ndcg@10``) -> its name for people, and whether higher (1) or lower
(-1) is better, or neither (0)."""


def described(measure: str) -> tuple[str, int]:
    """A measure's name for people, with its depth, and whether higher (1) or lower (-1) is better, or neither (0)."""
    name, at, depth = measure.partition("@")
    label, better = MEASURES[name]
    return f"{label}{at}{depth}", better


@dataclass(frozen=True)
class Measured:
    """What an encoder reached on a task. ``statistic`` gives the measures of any resample of the task's ``units``, named
    by their rows (which repeat); ``fixed`` are measures that have no meaning on a resample."""

    units: int
    statistic: Callable[[Rows], Mapping[str, float]]
    fixed: Mapping[str, float] = field(default_factory=dict)


class Task(ABC):
    """Data to measure on. ``name`` says what kind; ``source`` where it is from; ``units`` what is drawn for an interval,
    such as queries; ``size`` how much there is of what; ``notes`` what was left out."""

    name: str
    source: str
    units: str
    size: Mapping[str, int]
    notes: tuple[str, ...] = ()

    @abstractmethod
    def measure(self, encoder: TextEncoder, *, progress: bool = False) -> Measured:
        """Encode the texts and measure the vectors."""


def check_file(path: str | os.PathLike[str]) -> Path:
    """The path of a file; `InputError` where there is none."""
    found = Path(path)
    if not found.is_file():
        raise InputError(f"{found}: expected a file, found {'a folder' if found.is_dir() else 'nothing'}")
    return found
