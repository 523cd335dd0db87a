"""Pairs that belong together or not: can one score tell them apart, and is the partner found among all?"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from embedkit.encoders.base import BaseEncoder
from embedkit.errors import InputError
from embedkit.evaluation.labelled import TEXTS, labelled, refuse
from embedkit.evaluation.scores import EncodedPairs, Similarity, check_comparable, check_similarity, crossed
from embedkit.system.extras import needed
from embedkit.system.files.addresses import without_query
from embedkit.vectors.geometry import blocks
from embedkit.vectors.values import Values

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
    mean rank among all different second texts (the text itself left out; equal scores share their mean rank). Alignment
    is of the same pairs, uniformity and isotropy are of all different texts; these three are of dense vectors only.
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

    @property
    def size(self) -> Mapping[str, int]:
        """How much there is of what."""
        return {"pairs": len(self.same), "of them the same": sum(self.same)}

    @classmethod
    def read(
        cls, path: str | os.PathLike[str], *, role: str = "default", similarity: Similarity | None = None
    ) -> Pairs:
        """JSON lines, or a table with a header (``.tsv`` without quoting, ``.csv``), gzipped or not, with ``text1`` and
        ``text2`` (or ``sentence1``, ``question1``, ...) and ``label`` (or ``same``, ``is_duplicate``): 1, true, yes or
        same; 0, false, no or different."""
        found = []
        for where, texts, name, record in labelled(path, TEXTS, ("label", "same", "is_duplicate")):
            label = _LABELS.get(str(record[name]).strip().lower())
            if label is None:
                refuse(
                    where,
                    f'1, true, yes or same, or 0, false, no or different, in "{name}"',
                    f"{record[name]!r:.60}; scores of a scale are judged as sts",
                )
            found.append((*texts, label))
        first, second, same = zip(*found, strict=True)
        return cls(without_query(str(path)), first, second, same, role, similarity)

    def measure(self, encoder: BaseEncoder, *, progress: bool = False) -> Measured:
        """The measures of any resample of pairs, and how the vectors lie."""
        judges = needed("sklearn.metrics", "judging pairs")
        check_comparable(encoder, self.similarity)
        pairs = EncodedPairs.of(encoder, self.first, self.second, self.role, progress=progress)
        scores, distances = pairs.scores(self.similarity), pairs.distances()
        a, b = pairs.first, pairs.second
        same = np.array(self.same, dtype=bool)
        ranks = np.full(len(same), np.nan)
        ranks[same] = partner_ranks(encoder, pairs.values, a[same], b[same], np.unique(b), self.similarity)

        def statistic(rows: Rows) -> dict[str, float]:
            found, labels = scores[rows], same[rows]
            best = best_thresholds(found, labels)
            # A resample may have pairs of one kind only, which says nothing of what needs both.
            both = bool(0 < labels.sum() < len(labels))
            measures = {
                "average_precision": float(judges.average_precision_score(labels, found)) if both else float("nan"),
                "auc": float(judges.roc_auc_score(labels, found)) if both else float("nan"),
                "accuracy": best[0],
                "f1": best[1],
                "partner_rank": float(ranks[rows][labels].mean()) if labels.any() else float("nan"),
            }
            if distances is not None:
                measures["alignment"] = float(distances[rows][labels].mean()) if labels.any() else float("nan")
            return measures

        return Measured(len(same), statistic, {"threshold": best_thresholds(scores, same)[2], **pairs.space()})


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


def partner_ranks(
    encoder: BaseEncoder, values: Values, a: Rows, b: Rows, candidates: Rows, fn: Similarity | None = None
) -> npt.NDArray[np.float64]:
    """(n,) the rank, from 1, of row ``b[i]`` of the ``values`` among the rows ``candidates`` (ascending) by their
    nearness to row ``a[i]``; that row itself is no candidate unless it is the partner. Equal scores share their mean
    rank."""
    found = np.empty(len(a))
    at = np.searchsorted(candidates, b)
    pool = values[candidates]
    for rows in blocks(len(a), 256):
        scores = crossed(encoder, values[a[rows]], pool, fn)
        mine = scores[np.arange(len(scores)), at[rows]][:, None]
        others = (candidates[None, :] != a[rows, None]) & (candidates[None, :] != b[rows, None])
        found[rows] = 1.0 + ((scores > mine) & others).sum(axis=1) + ((scores == mine) & others).sum(axis=1) / 2.0
    return found
