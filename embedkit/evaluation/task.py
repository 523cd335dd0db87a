"""What every task is: labelled data that an encoder's vectors are measured on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from ..encoding import TextEncoder

Rows: TypeAlias = npt.NDArray[np.intp]

MEASURES = {
    "ndcg@10": ("nDCG@10", 1),
    "recall@10": ("recall@10", 1),
    "recall@100": ("recall@100", 1),
    "mrr@10": ("MRR@10", 1),
    "precision@10": ("precision@10", 1),
    "map@1000": ("MAP@1000", 1),
    "spearman": ("Spearman", 1),
    "pearson": ("Pearson", 1),
    "accuracy": ("accuracy", 1),
    "f1": ("F1", 1),
    "macro_f1": ("macro F1", 1),
    "average_precision": ("average precision", 1),
    "auc": ("AUC", 1),
    "threshold": ("threshold", 0),
    "rank_mean": ("partner's mean rank", -1),
    "rank_variance": ("partner's rank variance", -1),
    "alignment": ("alignment", -1),
    "uniformity": ("uniformity", -1),
    "isotropy": ("isotropy", 1),
}
"""Measure -> its name for people, and whether higher (1) or lower (-1) is better, or neither (0)."""


@dataclass(frozen=True)
class Measured:
    """What an encoder reached on a task. ``statistic`` gives the measures of any resample of the task's ``units``, named
    by their rows (which repeat); ``fixed`` are measures that have no meaning on a resample."""

    units: int
    statistic: Callable[[Rows], Mapping[str, float]]
    fixed: Mapping[str, float] = field(default_factory=dict)


class Task(ABC):
    """Labelled data. ``name`` says what kind; ``source`` where it is from; ``units`` what is drawn for an interval, such
    as queries; ``size`` how much there is of what; ``notes`` what was left out."""

    name: str
    source: str
    units: str
    size: Mapping[str, int]
    notes: tuple[str, ...] = ()

    @abstractmethod
    def measure(self, encoder: TextEncoder, *, progress: bool = False) -> Measured:
        """Encode the texts and measure the vectors."""
