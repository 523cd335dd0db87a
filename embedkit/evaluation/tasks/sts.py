"""Semantic textual similarity: do scores rank pairs of sentences as people do?"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from embedkit.encoders.base import BaseEncoder
from embedkit.errors import InputError
from embedkit.evaluation.labelled import TEXTS, labelled, number_of
from embedkit.evaluation.scores import EncodedPairs, Similarity, check_comparable, check_similarity, correlations
from embedkit.system.files.addresses import without_query

from .task import Measured, Rows, Task

_ALIKE = 0.8
"""Of the range of the scores, above which a pair belongs together: 4 of 5, as in Gao et al. (2021, *SimCSE*)."""


@dataclass(frozen=True)
class Similarities(Task):
    """Pairs of sentences with a person's score; on any scale, higher is more alike.

    Spearman's and Pearson's correlation of the vectors' similarity with the scores (by scipy). Alignment is of the pairs
    whose score is over four fifths of its range, uniformity and isotropy are of all different sentences; these three
    are of dense vectors only.
    """

    source: str
    first: tuple[str, ...]
    second: tuple[str, ...]
    scores: tuple[float, ...]
    role: str = "default"
    similarity: Similarity | None = None
    """By default the model's own."""

    name = "sts"
    units = "pairs"

    def __post_init__(self) -> None:
        check_similarity(self.similarity)
        if not len(self.first) == len(self.second) == len(self.scores):
            raise InputError(
                f"{self.source}: expected as many sentences as scores, found {len(self.first)}, {len(self.second)} and {len(self.scores)}"
            )
        if len(set(self.scores)) < 2:
            raise InputError(
                f"{self.source}: expected pairs with different scores, found {len(self.scores)} with {len(set(self.scores))} different: "
                "a correlation is undefined there"
            )

    @property
    def size(self) -> Mapping[str, int]:
        """How much there is of what."""
        return {"pairs": len(self.scores)}

    @classmethod
    def read(
        cls, path: str | os.PathLike[str], *, role: str = "default", similarity: Similarity | None = None
    ) -> Similarities:
        """JSON lines, or a table with a header (``.tsv`` without quoting, ``.csv``), gzipped or not, with ``text1`` and
        ``text2`` (or ``sentence1``, ``question1``, ...) and ``score`` (or ``similarity``, ``label``)."""
        found = [
            (*texts, number_of(dict(record), label, where))
            for where, texts, label, record in labelled(path, TEXTS, ("score", "similarity", "label"))
        ]
        first, second, scores = zip(*found, strict=True)
        return cls(without_query(str(path)), first, second, scores, role, similarity)

    def measure(self, encoder: BaseEncoder, *, progress: bool = False) -> Measured:
        """The correlations of any resample of pairs, and how the vectors lie."""
        check_comparable(encoder, self.similarity)
        pairs = EncodedPairs.of(encoder, self.first, self.second, self.role, progress=progress)
        found, distances = pairs.scores(self.similarity).astype(np.float64), pairs.distances()
        gold = np.array(self.scores, dtype=np.float64)
        border = gold.min() + _ALIKE * (gold.max() - gold.min())

        def statistic(rows: Rows) -> dict[str, float]:
            y = gold[rows]
            measures = correlations(found[rows], y)
            if distances is not None:
                near = distances[rows][y > border]
                measures["alignment"] = float(near.mean()) if len(near) else float("nan")
            return measures

        return Measured(len(gold), statistic, pairs.space())
