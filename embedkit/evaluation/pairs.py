"""Pairs that belong together or not: can one score tell them apart, and is the partner found among all?"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..encoding import TextEncoder
from ..errors import InputError
from .extras import needed
from .fields import TEXTS, labelled
from .nearness import Similarity, Vectors64, blocks, check_similarity, crossed, encoded, paired, prepared, unit
from .rows import refuse
from .space import alignment, isotropy, uniformity
from .task import Measured, Rows, Task

_LABELS = {
    **dict.fromkeys(("1", "1.0", "true", "yes", "same"), True),
    **dict.fromkeys(("0", "0.0", "false", "no", "different"), False),
}


@dataclass(frozen=True)
class Pairs(Task):
    """Pairs of texts that are the same in meaning, or different.

    Average precision and the area under the ROC curve (by scikit-learn) of the vectors' similarity; accuracy and F1,
    each at the threshold that is best for it (on each resample its own). Of each pair that is the same, the partner's
    rank among all different second texts (the text itself left out; equal scores share their mean rank), with mean and
    variance. Alignment is of the same pairs, uniformity and isotropy are of all different texts.
    """

    source: str
    first: tuple[str, ...]
    second: tuple[str, ...]
    same: tuple[bool, ...]
    role: str = "default"
    similarity: Similarity | None = None
    """By default the model's own."""

    name = "pairs"
    units = "pairs"

    def __post_init__(self) -> None:
        check_similarity(self.similarity)
        if not len(self.first) == len(self.second) == len(self.same):
            raise InputError(
                f"{self.source}: expected as many texts as labels, found {len(self.first)}, {len(self.second)} and {len(self.same)}"
            )
        alike = sum(self.same)
        if not 0 < alike < len(self.same):
            raise InputError(
                f"{self.source}: expected pairs that are the same (label 1) and pairs that are different (label 0), found {alike} and "
                f"{len(self.same) - alike}: add some of the other kind"
            )
        object.__setattr__(self, "size", {"pairs": len(self.same), "of them the same": alike})

    @classmethod
    def read(
        cls, path: str | os.PathLike[str], *, role: str = "default", similarity: Similarity | None = None
    ) -> Pairs:
        """JSON lines, or a table with a header (``.tsv`` without quoting, ``.csv``), gzipped or not, with ``text1`` and
        ``text2`` (or ``sentence1``, ``question1``, ...) and ``label`` (or ``same``, ``is_duplicate``): 1, true, yes or
        same; 0, false, no or different."""
        found = []
        for where, texts, name, record in labelled(Path(path), TEXTS, ("label", "same", "is_duplicate")):
            label = _LABELS.get(str(record[name]).strip().lower())
            if label is None:
                refuse(
                    where,
                    f'1, true, yes or same, or 0, false, no or different, in "{name}"',
                    f"{record[name]!r:.60}; scores of a scale are judged as sts",
                )
            found.append((*texts, label))
        first, second, same = zip(*found, strict=True)
        return cls(str(path), first, second, same, role, similarity)

    def measure(self, encoder: TextEncoder, *, progress: bool = False) -> Measured:
        """The measures of any resample of pairs, and how the vectors lie."""
        judges = needed("sklearn.metrics", "judging pairs")
        fn = self.similarity or encoder.metric
        texts = list(dict.fromkeys([*self.first, *self.second]))
        place = {text: index for index, text in enumerate(texts)}
        vectors = encoded(encoder, texts, self.role, progress=progress)
        a, b = (np.array([place[text] for text in side], dtype=np.intp) for side in (self.first, self.second))
        wide = prepared(vectors, fn)
        scores = paired(wide[a], wide[b], fn)
        same = np.array(self.same, dtype=bool)
        ranks = np.full(len(same), np.nan)
        ranks[same] = partner_ranks(wide, a[same], b[same], np.unique(b), fn)
        units = unit(vectors.astype(np.float64))
        distances = alignment(units[a], units[b])

        def statistic(rows: Rows) -> dict[str, float]:
            found, labels = scores[rows], same[rows]
            best = best_thresholds(found, labels)
            measures = {"accuracy": best[0], "f1": best[1]}
            if not 0 < labels.sum() < len(labels):
                nothing = dict.fromkeys(
                    ("average_precision", "auc", "rank_mean", "rank_variance", "alignment"), float("nan")
                )
                return measures | nothing
            placed = ranks[rows][labels]
            return measures | {
                "average_precision": float(judges.average_precision_score(labels, found)),
                "auc": float(judges.roc_auc_score(labels, found)),
                "rank_mean": float(placed.mean()),
                "rank_variance": float(placed.var()),
                "alignment": float(distances[rows][labels].mean()),
            }

        threshold = best_thresholds(scores, same)[2]
        fixed = {"threshold": threshold, "uniformity": uniformity(units), "isotropy": isotropy(units)}
        return Measured(len(same), statistic, fixed)


def best_thresholds(scores: npt.NDArray[Any], same: npt.NDArray[np.bool_]) -> tuple[float, float, float]:
    """The best accuracy, the best F1 (each over all thresholds), and a threshold of the best accuracy: pairs with a score
    of at least it are called the same. It lies midway between two scores where it parts them."""
    order = np.argsort(-scores, kind="stable")
    ranked, labels = scores[order].astype(np.float64), same[order]
    called = np.arange(len(labels) + 1)
    hits = np.concatenate([[0], np.cumsum(labels)])
    # A threshold cannot pass between equal scores.
    between = np.concatenate([[True], ranked[1:] != ranked[:-1], [True]])
    called, hits = called[between], hits[between]
    alike = int(labels.sum())
    right = hits + (len(labels) - alike) - (called - hits)
    f1 = 2.0 * hits / np.maximum(called + alike, 1)
    best = int(np.argmax(right))
    count = int(called[best])
    # As float32, so that it parts float32 scores.
    if count == 0:
        threshold = np.nextafter(np.float32(ranked[0]), np.float32(np.inf))
    elif count == len(ranked):
        threshold = np.float32(ranked[-1])
    else:
        middle = np.float32((ranked[count - 1] + ranked[count]) / 2.0)
        threshold = middle if middle > ranked[count] else np.float32(ranked[count - 1])
    return float(right[best] / len(labels)), float(f1.max()), float(threshold)


def partner_ranks(vectors: Vectors64, a: Rows, b: Rows, candidates: Rows, fn: Similarity) -> npt.NDArray[np.float64]:
    """(n,) the rank, from 1, of row ``b[i]`` of the ``vectors`` among the rows ``candidates`` (ascending) by their
    nearness to row ``a[i]``; that row itself is no candidate unless it is the partner. Equal scores share their mean
    rank."""
    found = np.empty(len(a))
    at = np.searchsorted(candidates, b)
    pool = vectors[candidates]
    for rows in blocks(len(a), 256):
        scores = crossed(vectors[a[rows]], pool, fn)
        mine = scores[np.arange(len(scores)), at[rows]][:, None]
        others = (candidates[None, :] != a[rows, None]) & (candidates[None, :] != b[rows, None])
        found[rows] = 1.0 + ((scores > mine) & others).sum(axis=1) + ((scores == mine) & others).sum(axis=1) / 2.0
    return found
