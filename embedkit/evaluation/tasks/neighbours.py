"""Pictures or texts with labels: do the nearest others have the same?"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from embedkit.checks import positive, real
from embedkit.encoders.base import BaseEncoder
from embedkit.encoders.info import check_encoder
from embedkit.errors import InputError, OptionError
from embedkit.evaluation.labelled import refuse
from embedkit.evaluation.media.files import classed
from embedkit.evaluation.scores import check_finite, crossed
from embedkit.runtime.frontends.base import Item
from embedkit.system.files.addresses import without_query
from embedkit.vectors.geometry import blocks
from embedkit.vectors.values import Values

from .captions import other_kind
from .named import class_measures
from .task import Measured, Task

K, TEMPERATURE = 20, 0.07
"""As of DINO's evaluation (Caron et al. 2021)."""


@dataclass(frozen=True)
class Neighbours(Task):
    """Items with labels, without a classifier: each is given the class whose ``k`` nearest others weigh most, by the sum of exp(score /
    ``temperature``) as `embedkit.knn` has it. Those that ``test`` names are judged by the others; without it each by all others.

    The measures are those of `NamedClasses`.
    """

    source: str
    items: tuple[Item, ...]
    classes: tuple[str, ...]
    """The label of each item."""
    test: tuple[bool, ...] = ()
    k: int = K
    temperature: float = TEMPERATURE
    role: str = ""
    """By default that of the items' kind."""

    name = "knn"
    units = "items"

    def __post_init__(self) -> None:
        positive("k", self.k)
        if real("temperature", self.temperature, least=0.0) < 1e-3:
            raise OptionError(f"temperature: expected a number of at least 0.001, found {self.temperature!r}")
        if len(self.items) != len(self.classes) or (self.test and len(self.test) != len(self.items)):
            raise InputError(f"{self.source}: expected items, each with its label, found {len(self.items)}")
        counts = Counter(self.classes)
        if len(counts) < 2 or len(self.items) < 3:
            raise InputError(
                f"{self.source}: expected at least three items of two labels, found {len(self.items)} of {len(counts)}"
            )
        if self.test and len(set(self.test)) < 2:
            raise InputError(
                f"{self.source}: expected some to be judged and some to judge by, found all the same in split"
            )

    @property
    def size(self) -> Mapping[str, int]:
        """How much there is of what."""
        judged_ = sum(self.test) if self.test else len(self.items)
        return {"items": len(self.items), "of them judged": judged_, "labels": len(set(self.classes))}

    @classmethod
    def read(
        cls, path: str | os.PathLike[str], *, k: int = K, temperature: float = TEMPERATURE, role: str = ""
    ) -> Neighbours:
        """JSON lines, or a table with a header (``.tsv`` without quoting, ``.csv``), with ``image`` (or ``file_name``), a file beside
        it, or ``text``, and ``label``; ``split`` may say train or test of every record."""
        items: list[Item] = []
        classes: list[str] = []
        parts: list[str] = []
        for where, item, label, record in classed(path):
            part = str(record.get("split") or "").strip().lower()
            if part not in ("", "train", "training", "test"):
                refuse(where, 'train or test in "split"', f"{part!r:.60}")
            items.append(item)
            classes.append(label)
            parts.append(part)
        test = tuple(part == "test" for part in parts) if any(parts) else ()
        if test and not all(parts):
            raise InputError(f"{without_query(str(path))}: expected train or test in split of every record, or of none")
        return cls(without_query(str(path)), tuple(items), tuple(classes), test, k, temperature, role)

    def measure(self, encoder: BaseEncoder, *, progress: bool = False) -> Measured:
        """The measures of any resample of those that are judged."""
        check_encoder(encoder)
        kind = other_kind(encoder) if isinstance(self.items[0], Path) else "text"
        values: Values = encoder.encode(list(self.items), role=self.role or encoder.role_of(kind), progress=progress)
        check_finite(values, "default")
        names = sorted(set(self.classes))
        labels = np.array([names.index(label) for label in self.classes])
        asked = np.flatnonzero(self.test) if self.test else np.arange(len(labels))
        known = np.flatnonzero(~np.array(self.test)) if self.test else asked
        weights = np.zeros((len(asked), len(names)), np.float32)
        for rows in blocks(len(asked)):
            scores = crossed(encoder, values[asked[rows]], values[known])
            if not self.test:
                scores[np.arange(len(scores)), np.arange(rows.start, rows.start + len(scores))] = -np.inf
            for row, found in enumerate(scores, start=rows.start):
                nearest = np.argsort(-found, kind="stable")[: min(self.k, len(known) - (not self.test))]
                # Less the highest, which changes no order, so that no weight is infinite.
                each = np.exp((found[nearest].astype(np.float64) - found[nearest[0]]) / self.temperature)
                weights[row] = np.bincount(labels[known[nearest]], weights=each, minlength=len(names))
        return class_measures(weights, labels[asked])
