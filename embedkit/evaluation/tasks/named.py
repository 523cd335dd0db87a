"""Pictures with labels, judged by the names of these alone."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from embedkit.encoders.base import BaseEncoder
from embedkit.encoders.zero_shot.classes import ZeroShot
from embedkit.encoders.zero_shot.prompts import PLACE, lines_of, templates_of
from embedkit.errors import InputError
from embedkit.evaluation.media.files import classed
from embedkit.evaluation.media.ranks import among_first
from embedkit.runtime.frontends.base import Item

from .task import Measured, Rows, Task

_ANY_SCALE = 100.0
"""What cosines are multiplied by where a bundle does not say it: of no consequence to their order."""


@dataclass(frozen=True)
class NamedClasses(Task):
    """Pictures with labels, and no training: `embedkit.ZeroShot` by the names of all ``labels``.

    ``accuracy`` is the share of pictures whose most probable class is their own, ``top@5`` that of those whose own is among the five most
    probable, equal ones counted by chance; ``class_accuracy`` is the mean of the accuracies of each class.
    """

    source: str
    items: tuple[Item, ...]
    classes: tuple[str, ...]
    """The label of each item."""
    labels: tuple[str, ...]
    prompts: tuple[str, ...] | str | None
    """Templates; or the name of a set, which a bundle may carry, or None for its only one (else ``photo``): looked up where it is
    measured."""

    name = "zero-shot"
    units = "pictures"

    def __post_init__(self) -> None:
        if len(self.items) != len(self.classes) or not self.items:
            raise InputError(f"{self.source}: expected items, each with its label, found {len(self.items)}")
        if unknown := sorted(set(self.classes) - set(self.labels)):
            raise InputError(
                f"{self.source}: expected labels that are in --labels, found {unknown[0]!r:.60}; add it there"
            )
        if len(self.labels) < 2:
            raise InputError(f"{self.source}: expected at least two different labels, found {len(self.labels)}")

    @property
    def size(self) -> Mapping[str, int]:
        """How much there is of what."""
        found = {"pictures": len(self.items), "labels": len(self.labels)}
        return found | ({"prompts a label": len(self.prompts)} if isinstance(self.prompts, tuple) else {})

    @classmethod
    def read(
        cls,
        path: str | os.PathLike[str],
        *,
        labels: str | os.PathLike[str] | None = None,
        prompts: str | os.PathLike[str] | Iterable[str] | None = None,
    ) -> NamedClasses:
        """JSON lines, or a table with a header (``.tsv`` without quoting, ``.csv``), with ``image`` (or ``file_name``), a file beside
        it, and ``label``. ``labels`` is a file with a name a line; without it the classes are those that occur. ``prompts`` are as
        `embedkit.ZeroShot` takes them: a name that is no file is that of a set."""
        found = [(item, label) for _, item, label, _ in classed(path)]
        items, classes = zip(*found, strict=True)
        names = (
            sorted(set(classes)) if labels is None else list(dict.fromkeys(lines_of(labels, "labels: expected a file")))
        )
        given: tuple[str, ...] | str | None
        if prompts is None or (isinstance(prompts, str) and PLACE not in prompts and not Path(prompts).is_file()):
            given = prompts
        else:
            given = templates_of(prompts)
        return cls(str(path), items, classes, tuple(names), given)

    def measure(self, encoder: BaseEncoder, *, progress: bool = False) -> Measured:
        """The measures of any resample of pictures."""
        scale = None if encoder.bundle.manifest.matching else _ANY_SCALE
        judge = ZeroShot(encoder, self.labels, prompts=self.prompts, scale=scale)
        vectors = encoder.encode(list(self.items), role=judge.role, output=judge.output, progress=progress)
        wanted = np.array([judge.labels.index(label) for label in self.classes])
        return class_measures(judge.cosines(np.asarray(vectors)).astype(np.float32), wanted)


def class_measures(scores: npt.NDArray[np.float32], wanted: npt.NDArray[np.intp]) -> Measured:
    """Accuracy, top@5 and the mean of the classes' accuracies of (n, classes) ``scores``, where (n,) ``wanted`` are right."""
    first, five = (
        np.array([among_first(row, [own], k) for row, own in zip(scores, wanted, strict=True)]) for k in (1, 5)
    )

    def statistic(rows: Rows) -> dict[str, float]:
        drawn = wanted[rows]
        counts = np.bincount(drawn)
        sums = np.bincount(drawn, weights=first[rows])
        return {
            "accuracy": float(first[rows].mean()),
            "top@5": float(five[rows].mean()),
            "class_accuracy": float((sums[counts > 0] / counts[counts > 0]).mean()),
        }

    return Measured(len(wanted), statistic)
