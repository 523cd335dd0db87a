"""Questions against a collection."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from .encoding import TextEncoder
from .errors import CollectionMismatchError, InputError
from .filters import Filter
from .guard import GuardedCollection, GuardedStore
from .records import FloatArray, Hit
from .registry import opened
from .scoring import similarity

_DIVERSE_AMONG = 200
"""Candidates that are made diverse, unless another number is given: one for all pages, so that these fit together."""


@overload
def search(  # type: ignore[overload-overlap]
    question: str,
    encoder: TextEncoder,
    store: GuardedStore | str,
    *,
    collection: str,
    k: int = ...,
    offset: int = ...,
    filter: Filter | None = ...,
    min_score: float | None = ...,
    diversity: float = ...,
    candidates: int | None = ...,
    rescore: bool = ...,
) -> list[Hit]: ...
@overload
def search(
    question: Sequence[str],
    encoder: TextEncoder,
    store: GuardedStore | str,
    *,
    collection: str,
    k: int = ...,
    offset: int = ...,
    filter: Filter | None = ...,
    min_score: float | None = ...,
    diversity: float = ...,
    candidates: int | None = ...,
    rescore: bool = ...,
) -> list[list[Hit]]: ...
def search(
    question: str | Sequence[str],
    encoder: TextEncoder,
    store: GuardedStore | str,
    *,
    collection: str,
    k: int = 10,
    offset: int = 0,
    filter: Filter | None = None,
    min_score: float | None = None,
    diversity: float = 0.0,
    candidates: int | None = None,
    rescore: bool = False,
) -> list[Hit] | list[list[Hit]]:
    """The ``k`` documents nearest to a question, best first; a list of questions gives a list of such lists.

    ``store`` is what `embedkit.open_store` returned, or a store URL. ``filter`` is made with `embedkit.F` and compares
    metadata. ``offset`` leaves out the first so many, for the next page. Hits that score below ``min_score`` are left out.

    ``rescore`` asks the store for ``candidates`` (by default four times as many as are wanted), reads their full vectors and
    ranks them by these: for an index that is approximate or keeps rounded vectors. ``diversity`` above 0, and at most 1,
    chooses among ``candidates`` (by default 200, or as many as are wanted) by maximal marginal relevance (Carbonell and
    Goldstein 1998): each next hit is the one for which (1 - diversity) * its score - diversity * its greatest similarity to
    a hit before it is largest. A hit's ``score`` stays its nearness to the question.

    Raises `InputError` for an empty question, `CollectionNotFoundError`, and, before anything is encoded,
    `CollectionMismatchError` where the collection holds another model's vectors.
    """
    single = isinstance(question, str)
    questions = [question] if isinstance(question, str) else list(question)
    for i, text in enumerate(questions):
        if isinstance(text, str) and not text.strip():
            raise InputError(f"question {i}: expected some text, found {text!r}")
    wanted = _Wanted(k, offset, min_score, diversity, candidates, rescore)
    with opened(store) as connection:
        rows = connection.open(collection)
        rows.require_fingerprint(encoder.fingerprint)
        if not encoder.allows(rows.info.metric):
            raise CollectionMismatchError(
                f"collection {collection!r} ranks by the metric {rows.info.metric!r}, and this model's vectors are compared by "
                f"{encoder.metric!r}; ingest into a new collection"
            )
        asked: FloatArray = encoder.encode_query(questions)
        answers = nearest(rows, asked, wanted, filter)
    return answers[0] if single else answers


@dataclass(frozen=True, slots=True)
class _Wanted:
    """Which of the nearest rows are wanted; see `search`."""

    k: int
    offset: int
    min_score: float | None
    diversity: float
    candidates: int | None
    rescore: bool

    def __post_init__(self) -> None:
        for name, value, least in (("k", self.k, 1), ("offset", self.offset, 0), ("candidates", self.candidates, 1)):
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < least):
                raise InputError(f"{name}: expected an integer of at least {least}, found {value!r}")
        if not 0.0 <= self.diversity <= 1.0:
            raise InputError(f"diversity: expected a number from 0 to 1, found {self.diversity!r}")
        if self.candidates is not None and self.candidates < self.k + self.offset:
            raise InputError(
                f"candidates: expected at least k + offset = {self.k + self.offset}, found {self.candidates}"
            )

    @property
    def fetched(self) -> int:
        """How many rows the store is asked for."""
        end = self.k + self.offset
        if self.candidates is not None:
            return self.candidates
        if self.diversity:
            return max(end, _DIVERSE_AMONG)
        return 4 * end if self.rescore else end


def nearest(rows: GuardedCollection, asked: FloatArray, wanted: _Wanted, filter: Filter | None) -> list[list[Hit]]:
    """For each of the (n, dim) vectors the rows that are ``wanted``."""
    answers = rows.query(asked, wanted.fetched, filter=filter)
    metric = rows.info.metric
    full = _vectors(rows, answers) if wanted.rescore or wanted.diversity else {}
    if wanted.rescore:
        answers = [_rescored(hits, vector, full, metric) for hits, vector in zip(answers, asked, strict=True)]
    if wanted.min_score is not None:
        answers = [[hit for hit in hits if hit.score >= wanted.min_score] for hits in answers]
    if wanted.diversity:
        end = wanted.offset + wanted.k
        answers = [_diverse(hits, full, metric, wanted.diversity, end) for hits in answers]
    return [hits[wanted.offset : wanted.offset + wanted.k] for hits in answers]


def _vectors(rows: GuardedCollection, answers: list[list[Hit]]) -> dict[str, FloatArray]:
    """The vector of each row that was found, unless it was deleted meanwhile."""
    ids = list(dict.fromkeys(hit.id for hits in answers for hit in hits))
    found = rows.get(ids, with_vectors=True)
    return {record.id: record.vector for record in found if record.vector is not None}


def _rescored(hits: list[Hit], asked: FloatArray, full: dict[str, FloatArray], metric: str) -> list[Hit]:
    hits = [hit for hit in hits if hit.id in full]
    if not hits:
        return hits
    scores = similarity(asked, np.stack([full[hit.id] for hit in hits]), fn=metric)[0]
    rescored = [replace(hit, score=float(score)) for hit, score in zip(hits, scores, strict=True)]
    return sorted(rescored, key=lambda hit: (-hit.score, hit.id))


def _diverse(hits: list[Hit], full: dict[str, FloatArray], metric: str, diversity: float, count: int) -> list[Hit]:
    hits = [hit for hit in hits if hit.id in full]
    if not hits:
        return hits
    vectors = np.stack([full[hit.id] for hit in hits])
    order = diverse(np.array([hit.score for hit in hits]), similarity(vectors, vectors, fn=metric), diversity, count)
    return [hits[i] for i in order]


def diverse(scores: npt.NDArray[Any], near: npt.NDArray[Any], diversity: float, count: int) -> list[int]:
    """The order of ``count`` of n rows by maximal marginal relevance: ``scores`` (n,) to the question, ``near`` (n, n) to
    each other. Of equal rows the first is taken."""
    chosen: list[int] = []
    free = np.ones(len(scores), dtype=bool)
    nearest_chosen = np.full(len(scores), -np.inf)
    while len(chosen) < min(count, len(scores)):
        marginal = (1.0 - diversity) * scores - (diversity * nearest_chosen if chosen else 0.0)
        best = int(np.argmax(np.where(free, marginal, -np.inf)))
        chosen.append(best)
        free[best] = False
        nearest_chosen = np.maximum(nearest_chosen, near[:, best])
    return chosen
