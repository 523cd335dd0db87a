"""Texts with labels: what a linear classifier reads out of the vectors."""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from embedkit.encoders.base import BaseEncoder
from embedkit.errors import InputError
from embedkit.evaluation.labelled import labelled, refuse
from embedkit.evaluation.scores import crossed, encoded
from embedkit.system.extras import needed
from embedkit.system.files.addresses import without_query
from embedkit.vectors.geometry import blocks
from embedkit.vectors.multivector import MultiVectors
from embedkit.vectors.sparse import SparseVectors
from embedkit.vectors.values import Values

from .task import Measured, Rows, Task

_STEPS = 1_000
_TEST_SHARE = 0.25
_NEAREST = 10
_TRAIN, _TEST = ("train", "training"), ("test",)

Classifier: TypeAlias = Literal["logistic", "knn"]


@dataclass(frozen=True)
class Classification(Task):
    """Texts with labels, some to learn from and some to be judged on.

    Accuracy and macro F1 (the mean over the labels, by scikit-learn) of a ``classifier``: ``logistic`` is scikit-learn's
    logistic regression on dense or sparse vectors, L2 with C = 1, at most 1,000 steps of L-BFGS. ``knn`` gives a text the
    label that most of its 10 nearest training texts have, by the model's own similarity, for vectors of any kind; of
    equally many the label of the nearest.
    """

    source: str
    train: tuple[tuple[str, str], ...]
    """Texts with their labels."""
    test: tuple[tuple[str, str], ...]
    role: str = "default"
    notes: tuple[str, ...] = ()
    classifier: Classifier = "logistic"

    name = "classification"
    units = "test texts"

    def __post_init__(self) -> None:
        if not isinstance(self.classifier, str) or self.classifier not in get_args(Classifier):
            raise InputError(f"classifier: expected {' or '.join(get_args(Classifier))}, found {self.classifier!r}")
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

    @property
    def size(self) -> Mapping[str, int]:
        """How much there is of what."""
        return {
            "training texts": len(self.train),
            "test texts": len(self.test),
            "labels": len({label for _, label in self.train}),
        }

    @classmethod
    def read(
        cls,
        path: str | os.PathLike[str],
        *,
        test: str | os.PathLike[str] | None = None,
        role: str = "default",
        seed: int = 0,
        classifier: Classifier = "logistic",
    ) -> Classification:
        """JSON lines, or a table with a header (``.tsv`` without quoting, ``.csv``), gzipped or not, with ``text`` and
        ``label``. The test texts are those of the file ``test``; else the records whose ``split`` is test (the others
        are train); else a quarter of the texts, the same share of every label, drawn with ``seed``."""
        name = without_query(str(path))
        found = list(_read(path))
        if test is not None:
            train = [(text, label) for text, label, _ in found]
            held = [(text, label) for text, label, _ in _read(test)]
            return cls(f"{name}, tested on {without_query(str(test))}", tuple(train), tuple(held), role, (), classifier)
        if any(part for *_, part in found):
            train, held = (
                [(text, label) for text, label, part in found if part == wanted] for wanted in ("train", "test")
            )
            return cls(name, tuple(train), tuple(held), role, (), classifier)
        counts = Counter(label for _, label, _ in found)
        label, least = min(counts.items(), key=lambda one: (one[1], one[0]))
        if least < 2 or len(counts) < 2 or len(found) < 4 * len(counts):
            raise InputError(
                f"{name}: expected at least two labels, two texts of each and four a label on average, to split them; found "
                f"{len(counts)} labels, {least} of {label!r:.60}, {len(found)} texts; leave out rare labels, or give test texts"
            )
        selection = needed("sklearn.model_selection", "splitting texts")
        texts = [(text, label) for text, label, _ in found]
        train, held = selection.train_test_split(
            texts, test_size=_TEST_SHARE, stratify=[label for _, label in texts], random_state=seed
        )
        note = f"a quarter of the texts, drawn with the seed {seed} from each label, is the test"
        return cls(name, tuple(train), tuple(held), role, (note,), classifier)

    def measure(self, encoder: BaseEncoder, *, progress: bool = False) -> Measured:
        """The measures of any resample of the test texts; the classifier is trained once."""
        judges = needed("sklearn.metrics", "judging labels")
        x, test = (
            encoded(encoder, [text for text, _ in part], self.role, progress=progress)
            for part in (self.train, self.test)
        )
        names = sorted({label for _, label in self.train})
        number = {name: index for index, name in enumerate(names)}
        y, wanted = (np.array([number[label] for _, label in part]) for part in (self.train, self.test))
        said = _nearest(encoder, x, y, test) if self.classifier == "knn" else _logistic(x, y, test)

        def statistic(rows: Rows) -> dict[str, float]:
            return {
                "accuracy": float(np.mean(said[rows] == wanted[rows])),
                "macro_f1": float(judges.f1_score(wanted[rows], said[rows], average="macro", zero_division=0.0)),
            }

        return Measured(len(wanted), statistic)


def _logistic(x: Values, y: npt.NDArray[np.intp], test: Values) -> npt.NDArray[np.intp]:
    """The labels of ``test`` by a logistic regression on ``x``."""
    models = needed("sklearn.linear_model", "classifying")
    known, asked = (_features(values) for values in (x, test))
    with warnings.catch_warnings():
        # A fit that stops at the last step is still the same for everyone.
        warnings.simplefilter("ignore")
        return np.asarray(models.LogisticRegression(C=1.0, max_iter=_STEPS).fit(known, y).predict(asked))


def _features(values: Values) -> Any:
    if isinstance(values, MultiVectors):
        raise InputError(
            "classifier: logistic reads one vector a text, and this bundle gives several; take the classifier knn"
        )
    if isinstance(values, SparseVectors):
        parts = values.values.astype(np.float64), values.indices, values.offsets
        return needed("scipy.sparse", "classifying").csr_matrix(parts, shape=values.shape)
    return values.astype(np.float64)


def _nearest(encoder: BaseEncoder, x: Values, y: npt.NDArray[np.intp], test: Values) -> npt.NDArray[np.intp]:
    """The labels that most of the nearest ``x`` have."""
    out = []
    for rows in blocks(len(test), 256):
        scores = crossed(encoder, test[rows], x)
        for found in y[np.argsort(-scores, axis=1, kind="stable")[:, :_NEAREST]]:
            counts = np.bincount(found)
            out.append(found[np.argmax(counts[found])])
    return np.array(out, dtype=np.intp)


def _read(path: str | os.PathLike[str]) -> list[tuple[str, str, str]]:
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
