"""Texts with labels: what a linear classifier reads out of the vectors."""

from __future__ import annotations

import os
import warnings
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..encoding import TextEncoder
from ..errors import InputError
from .extras import needed
from .fields import labelled
from .nearness import encoded
from .rows import refuse
from .task import Measured, Rows, Task

_STEPS = 1_000
_TEST_SHARE = 0.25
_TRAIN, _TEST = ("train", "training"), ("test",)


@dataclass(frozen=True)
class Classification(Task):
    """Texts with labels, some to learn from and some to be judged on.

    Accuracy and macro F1 (the mean over the labels) of a logistic regression on the vectors, both by scikit-learn: L2
    with C = 1, at most 1,000 steps of L-BFGS.
    """

    source: str
    train: tuple[tuple[str, str], ...]
    """Texts with their labels."""
    test: tuple[tuple[str, str], ...]
    role: str = "default"
    notes: tuple[str, ...] = ()

    name = "classification"
    units = "test texts"

    def __post_init__(self) -> None:
        known = Counter(label for _, label in self.train)
        if len(known) < 2:
            raise InputError(
                f"{self.source}: expected training texts of at least two labels, found {len(known)}; give texts of another label"
            )
        if not self.test:
            raise InputError(f"{self.source}: expected texts to test on, found none")
        if unknown := sorted({label for _, label in self.test} - known.keys()):
            raise InputError(
                f"{self.source}: expected labels in the test texts that training has, found {unknown[0]!r:.60} only there; add training "
                "texts of it, or leave it out"
            )
        object.__setattr__(
            self,
            "size",
            {"training texts": len(self.train), "test texts": len(self.test), "labels": len(known)},
        )

    @classmethod
    def read(
        cls,
        path: str | os.PathLike[str],
        *,
        test: str | os.PathLike[str] | None = None,
        role: str = "default",
        seed: int = 0,
    ) -> Classification:
        """JSON lines, or a table with a header (``.tsv`` without quoting, ``.csv``), gzipped or not, with ``text`` and
        ``label``. The test texts are those of the file ``test``; else the records whose ``split`` is test (the others
        are train); else a quarter of the texts, the same share of every label, drawn with ``seed``."""
        found = list(_read(Path(path)))
        if test is not None:
            train = [(text, label) for text, label, _ in found]
            held = [(text, label) for text, label, _ in _read(Path(test))]
            return cls(f"{path}, tested on {test}", tuple(train), tuple(held), role)
        if any(part for *_, part in found):
            train, held = (
                [(text, label) for text, label, part in found if part == wanted] for wanted in ("train", "test")
            )
            return cls(str(path), tuple(train), tuple(held), role)
        counts = Counter(label for _, label, _ in found)
        label, least = min(counts.items(), key=lambda one: (one[1], one[0]))
        if least < 2 or len(counts) < 2 or len(found) < 4 * len(counts):
            raise InputError(
                f"{path}: expected at least two labels, two texts of each and four a label on average, to split them; found "
                f"{len(counts)} labels, {least} of {label!r:.60}, {len(found)} texts; leave out rare labels, or give test texts"
            )
        selection = needed("sklearn.model_selection", "splitting texts")
        texts = [(text, label) for text, label, _ in found]
        train, held = selection.train_test_split(
            texts, test_size=_TEST_SHARE, stratify=[label for _, label in texts], random_state=seed
        )
        note = f"a quarter of the texts, drawn with the seed {seed} from each label, is the test"
        return cls(str(path), tuple(train), tuple(held), role, (note,))

    def measure(self, encoder: TextEncoder, *, progress: bool = False) -> Measured:
        """The measures of any resample of the test texts; the classifier is trained once."""
        models = needed("sklearn.linear_model", "classifying")
        judges = needed("sklearn.metrics", "judging labels")
        x, test = (
            encoded(encoder, [text for text, _ in part], self.role, progress=progress).astype(np.float64)
            for part in (self.train, self.test)
        )
        names = sorted({label for _, label in self.train})
        number = {name: index for index, name in enumerate(names)}
        y, wanted = (np.array([number[label] for _, label in part]) for part in (self.train, self.test))
        with warnings.catch_warnings():
            # A fit that stops at the last step is still the same for everyone.
            warnings.simplefilter("ignore")
            said = models.LogisticRegression(C=1.0, max_iter=_STEPS).fit(x, y).predict(test)

        def statistic(rows: Rows) -> dict[str, float]:
            return {
                "accuracy": float(np.mean(said[rows] == wanted[rows])),
                "macro_f1": float(judges.f1_score(wanted[rows], said[rows], average="macro", zero_division=0.0)),
            }

        return Measured(len(wanted), statistic)


def _read(path: Path) -> list[tuple[str, str, str]]:
    """Text, label, and train, test or nothing."""
    found: list[tuple[str, str, str]] = []
    splits = 0
    for where, (text,), name, record in labelled(path, (("text",), ("sentence",)), ("label",)):
        label = record[name]
        if isinstance(label, bool) or not isinstance(label, str | int) or not str(label).strip():
            refuse(where, 'a text or an integer in "label"', f"{label!r:.60}")
        said = str(record.get("split") or "").strip().lower()
        part = "train" if said in _TRAIN else "test" if said in _TEST else ""
        splits += bool(part)
        if (splits and splits <= len(found)) or (said and not part):
            refuse(where, 'train or test in "split" of every record, or of none', f"{said!r:.60}")
        found.append((text, str(label), part))
    return found
