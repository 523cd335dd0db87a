"""Questions against a collection."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np

from embedkit.encoders.base import TextEncoder
from embedkit.errors import CollectionMismatchError, InputError
from embedkit.records.documents import Hit
from embedkit.records.filters import Filter
from embedkit.stores.guarded import GuardedStore
from embedkit.stores.opening import opened
from embedkit.vectors.arrays import FloatArray
from embedkit.vectors.similarity import similarity

from .fusion import Fusion, scaled
from .lexical import LexicalIndex
from .mmr import diverse
from .rankers import Answers, HybridRanker, LexicalRanker, VectorCache, vector_rankers
from .rerank import Reranks, reranked

_DIVERSE_AMONG = 200
"""Candidates that are made diverse, unless another number is given: one for all pages, so that these fit together."""
_FUSED = 100
"""Candidates of each ranker that are fused, unless another number is given."""
_RERANKED = 50
"""Hits that are reranked, unless another number is given."""


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
    hybrid: Fusion | None = ...,
    lexical: LexicalIndex | str | os.PathLike[str] | None = ...,
    weights: Mapping[str, float] | None = ...,
    rerank: Reranks | None = ...,
    rerank_top: int | None = ...,
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
    hybrid: Fusion | None = ...,
    lexical: LexicalIndex | str | os.PathLike[str] | None = ...,
    weights: Mapping[str, float] | None = ...,
    rerank: Reranks | None = ...,
    rerank_top: int | None = ...,
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
    hybrid: Fusion | None = None,
    lexical: LexicalIndex | str | os.PathLike[str] | None = None,
    weights: Mapping[str, float] | None = None,
    rerank: Reranks | None = None,
    rerank_top: int | None = None,
) -> list[Hit] | list[list[Hit]]:
    """The ``k`` documents nearest to a question, best first; a list of questions gives a list of such lists.

    ``store`` is what `embedkit.open_store` returned, or a store URL. ``filter`` is made with `embedkit.F` and compares
    metadata. ``offset`` leaves out the first so many, for the next page. Hits whose ``score`` is below ``min_score`` are
    left out.

    ``rescore`` asks the store for ``candidates`` (by default four times as many as are wanted), reads their full dense vectors
    and ranks them by these: for an index that is approximate or keeps rounded vectors.

    ``hybrid`` fuses several rankings by ``minmax``, ``dbsf`` or ``rrf`` (`embedkit.retrieval.fusion`): those by each kind of vectors
    that the collection keeps and the model gives (``dense``, ``sparse``, ``multivector``) and, with ``lexical``, by BM25.
    That is an `embedkit.LexicalIndex` of the collection, or a folder with one; with it alone ``hybrid`` is ``minmax``. Of
    each ranking the ``candidates`` best are fused (by default 100, or as many as are wanted). ``weights`` are by these
    names, 1 unless given; what has 0 is left out. A hit's ``score`` is the fused one, its ``parts`` those that it was made
    of. Without ``hybrid`` the first of these kinds ranks.

    ``diversity`` above 0, and at most 1, chooses among ``candidates`` (by default 200, or as many as are wanted) by maximal
    marginal relevance (Carbonell and Goldstein 1998): each next hit is the one for which (1 - diversity) * its score -
    diversity * its greatest similarity to a hit before it is largest; fused scores count as scaled to 0..1 there. A hit's
    ``score`` stays what it is.

    ``rerank`` reads the texts of the first ``rerank_top`` hits (by default 50, or as many as are wanted or fetched) with the question,
    and orders them by its own scores; no other hits are returned. What a hit's score was before is in its ``parts``, as
    ``hybrid`` or the kind of vectors. ``offset`` and ``min_score`` apply to the order and the scores that it gives, so that pages
    are parts of one ranking.

    Raises `InputError` for an empty question, `CollectionNotFoundError`, before anything is encoded
    `CollectionMismatchError` where the collection holds another model's vectors, and `StaleIndexError` where the lexical
    index is noticed to be older than the collection: where their numbers of rows differ, or a row that was found has
    another text.
    """
    single = isinstance(question, str)
    questions = [question] if isinstance(question, str) else list(question)
    for i, text in enumerate(questions):
        if isinstance(text, str) and not text.strip():
            raise InputError(f"question {i}: expected some text, found {text!r}")
    fused = hybrid is not None or lexical is not None
    if weights is not None and not fused:
        raise InputError("hybrid: expected a method, such as 'minmax', beside weights, found None")
    if rerank is None and rerank_top is not None:
        raise InputError("rerank: expected a reranker beside rerank_top, found None")
    reranks = rerank is not None
    wanted = _Wanted(k, offset, min_score, diversity, candidates, rescore, fused, reranks, rerank_top)
    with opened(store) as connection:
        rows = connection.open(collection)
        rows.require_fingerprint(encoder.fingerprint)
        if rows.info.dim and not encoder.allows(rows.info.metric):
            raise CollectionMismatchError(
                f"collection {collection!r} ranks by the metric {rows.info.metric!r}, and this model's vectors are compared by "
                f"{encoder.metric!r}; ingest into a new collection"
            )
        if not rows.info.dim and (rescore or diversity):
            raise InputError(f"rescore and diversity: collection {collection!r} keeps no dense vectors to compare")
        vectors = VectorCache(rows)
        rankers = vector_rankers(rows, encoder, vectors if rescore else None)
        name, ranker = next(iter(rankers.items()))
        index = LexicalIndex.load(lexical) if isinstance(lexical, str | os.PathLike) else lexical
        if index is not None:
            rankers["lexical"] = LexicalRanker(rows, index)
        if fused:
            if len(rankers) == 1:
                raise InputError(
                    f"hybrid: collection {collection!r} keeps {name} vectors alone, and one ranking cannot be fused; give lexical, an "
                    "index of words (LexicalIndex.build)"
                )
            name, ranker = "hybrid", HybridRanker(rankers, hybrid or "minmax", weights)
        answers = ranker(questions, wanted.fetched, filter)
        if index is not None:
            index.require(hit for hits in answers for hit in hits)
        answers = _chosen(answers, wanted, vectors, rows.info.metric)
    if rerank is not None:
        answers = [reranked(text, hits, rerank, name) for text, hits in zip(questions, answers, strict=True)]
        answers = _at_least(answers, min_score)
    answers = [hits[offset : offset + k] for hits in answers]
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
    hybrid: bool
    rerank: bool
    rerank_top: int | None

    def __post_init__(self) -> None:
        for name, value, least in (
            ("k", self.k, 1),
            ("offset", self.offset, 0),
            ("candidates", self.candidates, 1),
            ("rerank_top", self.rerank_top, 1),
        ):
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < least):
                raise InputError(f"{name}: expected an integer of at least {least}, found {value!r}")
        if not 0.0 <= self.diversity <= 1.0:
            raise InputError(f"diversity: expected a number from 0 to 1, found {self.diversity!r}")
        end = self.k + self.offset
        if self.rerank_top is not None and self.rerank_top < end:
            raise InputError(f"rerank_top: expected at least k + offset = {end}, found {self.rerank_top}")
        if self.candidates is not None and self.candidates < self.end:
            what = "rerank_top" if self.rerank else "k + offset"
            raise InputError(f"candidates: expected at least {what} = {self.end}, found {self.candidates}")

    @property
    def end(self) -> int:
        """How many hits are wanted, before a reranker orders them."""
        end = self.k + self.offset
        if not self.rerank:
            return end
        return self.rerank_top or max(end, min(_RERANKED, self.candidates or _RERANKED))

    @property
    def fetched(self) -> int:
        """How many rows each ranker is asked for."""
        if self.candidates is not None:
            return self.candidates
        if self.diversity:
            return max(self.end, _DIVERSE_AMONG)
        if self.hybrid:
            return max(self.end, _FUSED)
        return 4 * self.end if self.rescore else self.end


def _chosen(answers: Answers, wanted: _Wanted, vectors: VectorCache, metric: str) -> Answers:
    """The first hits of each answer, above the threshold unless a reranker is to score them, and unlike each other where
    that is wanted."""
    if not wanted.rerank:
        answers = _at_least(answers, wanted.min_score)
    if not wanted.diversity:
        return [hits[: wanted.end] for hits in answers]
    near = vectors.near(answers)
    return [_diverse(hits, near, metric, wanted) for hits in answers]


def _at_least(answers: Answers, least: float | None) -> Answers:
    return answers if least is None else [[hit for hit in hits if hit.score >= least] for hits in answers]


def _diverse(hits: list[Hit], near: dict[str, FloatArray], metric: str, wanted: _Wanted) -> list[Hit]:
    hits = [hit for hit in hits if hit.id in near]
    if not hits:
        return hits
    vectors = np.stack([near[hit.id] for hit in hits])
    scores = [hit.score for hit in hits]
    relevance = np.array(scaled(scores) if wanted.hybrid else scores)
    order = diverse(relevance, similarity(vectors, vectors, fn=metric), wanted.diversity, wanted.end)
    return [hits[i] for i in order]
