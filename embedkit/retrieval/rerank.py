"""A reranker's last word on what was found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np

from embedkit.errors import InputError
from embedkit.records.documents import Hit

from .rankers import best_first


class Scored(Protocol):
    """What a reranker says about one document."""

    @property
    def index(self) -> int:
        """The document's place in the list that was given."""

    @property
    def score(self) -> float:
        """Higher is more relevant."""


class RerankerLike(Protocol):
    """A reranker, such as a cross-encoder: it reads the query and a document together."""

    def rank(self, query: str, documents: Sequence[str], k: int | None) -> Sequence[Scored]:
        """The ``k`` best of the documents (None: all), in any order."""


def reranked(query: str, hits: list[Hit], reranker: RerankerLike, name: str) -> list[Hit]:
    """The hits by what the reranker says of their texts; the score that each had becomes its part called ``name``.

    Raises `InputError` unless the reranker scores each text once, with a finite number.
    """
    if not hits:
        return hits
    told = reranker.rank(query, [hit.text for hit in hits], None)
    if sorted(one.index for one in told) != list(range(len(hits))) or not all(np.isfinite(one.score) for one in told):
        raise InputError(
            f"{type(reranker).__name__}.rank: expected each index from 0 to {len(hits) - 1} once with a finite score, found "
            f"{len(told)} results: {list(told)[:3]}"
        )
    return best_first(
        [
            replace(hit, score=float(one.score), parts={**hit.parts, name: hit.score})
            for one in told
            for hit in [hits[one.index]]
        ]
    )
