"""Questions against a collection."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np

from embedkit.checks import boolean, integer, items_of, real
from embedkit.encoders.base import BaseEncoder
from embedkit.encoders.info import check_encoder
from embedkit.errors import CollectionMismatchError, InputError, OptionError
from embedkit.records.documents import Hit
from embedkit.records.filters import Filter
from embedkit.stores.guarded import GuardedStore
from embedkit.stores.opening import opened
from embedkit.system.renames import renamed
from embedkit.vectors.arrays import FloatArray
from embedkit.vectors.similarity import similarity

from .fusion import Fusion, scaled
from .lexical import LexicalIndex
from .matches.finding import check_explainable, explained
from .mmr import diverse
from .questions.groups import ranked_in_groups
from .rankers import Answers, HybridRanker, LexicalRanker, Ranker, VectorCache, vector_rankers
from .rerank import RerankerLike, reranked

_DIVERSE_AMONG = 200
"""Candidates that are made diverse, unless another number is given: one for all pages, so that these fit together."""
_FUSED = 100
"""Candidates of each ranker that are fused, unless another number is given."""
_RERANKED = 50
"""Hits that are reranked, unless another number is given."""


@overload
def search(  # type: ignore[overload-overlap]
    query: str,
    encoder: BaseEncoder,
    store: GuardedStore | str,
    *,
    collection: str,
    k: int = ...,
    offset: int = ...,
    filter: Filter | None = ...,
    min_score: float | None = ...,
    diversity: float = ...,
    candidates: int | None = ...,
    group_by: str | None = ...,
    group_size: int = ...,
    rescore: bool = ...,
    hybrid: Fusion | None = ...,
    lexical: LexicalIndex | str | os.PathLike[str] | None = ...,
    weights: Mapping[str, float] | None = ...,
    rerank: RerankerLike | None = ...,
    rerank_top: int | None = ...,
    explain: bool = ...,
) -> list[Hit]: ...
@overload
def search(
    query: Sequence[str],
    encoder: BaseEncoder,
    store: GuardedStore | str,
    *,
    collection: str,
    k: int = ...,
    offset: int = ...,
    filter: Filter | None = ...,
    min_score: float | None = ...,
    diversity: float = ...,
    candidates: int | None = ...,
    group_by: str | None = ...,
    group_size: int = ...,
    rescore: bool = ...,
    hybrid: Fusion | None = ...,
    lexical: LexicalIndex | str | os.PathLike[str] | None = ...,
    weights: Mapping[str, float] | None = ...,
    rerank: RerankerLike | None = ...,
    rerank_top: int | None = ...,
    explain: bool = ...,
) -> list[list[Hit]]: ...
@renamed(question="query")
def search(
    query: str | Sequence[str],
    encoder: BaseEncoder,
    store: GuardedStore | str,
    *,
    collection: str,
    k: int = 10,
    offset: int = 0,
    filter: Filter | None = None,
    min_score: float | None = None,
    diversity: float = 0.0,
    candidates: int | None = None,
    group_by: str | None = None,
    group_size: int = 1,
    rescore: bool = False,
    hybrid: Fusion | None = None,
    lexical: LexicalIndex | str | os.PathLike[str] | None = None,
    weights: Mapping[str, float] | None = None,
    rerank: RerankerLike | None = None,
    rerank_top: int | None = None,
    explain: bool = False,
) -> list[Hit] | list[list[Hit]]:
    """The documents nearest to a query, best first; a list of queries gives a list of such lists.

    Args:
        query: some text, or a list of texts; of a bundle that reads pictures or sounds one of these (a `pathlib.Path`), or a list of them.
        encoder: the bundle whose vectors the collection holds.
        store: what `embedkit.open_store` returned, or a store URL.
        collection: its name.
        k: the most hits of each query, at least 1; 10 by default.
        offset: leaves out the first so many, for the next page; 0 by default.
        filter: only rows whose metadata satisfy it, made with `embedkit.F`; None for all.
        min_score: leaves out hits whose ``score`` is below it; None for none.
        diversity: from 0 (by default, off) to 1. Chooses by maximal marginal relevance (Carbonell and Goldstein 1998): each next hit
            is the one for which (1 - diversity) * its score - diversity * its greatest similarity to a hit before it is largest;
            fused scores count as scaled to 0..1 there. A hit's ``score`` stays what it is.
        candidates: how many rows each ranking gives to what follows it; by default four times as many as are wanted for
            ``rescore``, 100 for ``hybrid``, 200 for ``diversity``, and as many as are wanted where that is more.
        group_by: a field of the metadata: of the rows with one value in it the best ``group_size`` are hits, and ``k`` counts
            what is left. ``source`` gives the best chunk of each document that `embedkit.chunked` cut. A row without the field is
            a group by itself; a reranker reads what is left. Of a query no more than its 10,000 nearest rows are read.
        group_size: the most hits of a group; 1 by default.
        rescore: reads the full dense vectors of the candidates and ranks them by these, for an index that is approximate or
            keeps rounded vectors; False by default.
        hybrid: fuses several rankings, by ``minmax``, ``dbsf`` or ``rrf`` (`embedkit.retrieval.fusion`): those by each kind of vectors that
            the collection keeps and the model gives (``dense``, ``sparse``, ``multivector``) and, with ``lexical``, by BM25. A hit's
            ``score`` is the fused one, its ``parts`` those that it was made of. None: the first of these kinds ranks.
        lexical: an `embedkit.LexicalIndex` of the collection, or a folder with one; with it alone ``hybrid`` is ``minmax``.
        weights: how much each ranking counts, by the names above, at least 0 and 1 unless given; what has 0 is left out.
        rerank: reads the texts of the first hits with the query (an `embedkit.Reranker`) and orders them by its own scores; no
            other hits are returned. What a hit's score was before is in its ``parts``, as ``hybrid`` or the kind of vectors.
            ``offset`` and ``min_score`` apply to the order and the scores that it gives: pages are parts of one ranking.
        rerank_top: how many hits it reads; by default 50, or as many as are wanted or fetched.
        explain: tells what matched (`Hit.matches`): which token of the query met which of the document at what score (multi-vectors), the
            words that both have with the products of their weights (sparse vectors), the words of BM25. They add up to the score, or to
            its part by their name. A single dense vector has nothing to tell. False by default.

    Returns:
        For a text its hits, for a list of texts a list of hits each.

    Raises:
        InputError: for an empty query; `OptionError` for options that do not fit.
        CollectionNotFoundError: there is no such collection.
        CollectionMismatchError: before anything is encoded, where the collection holds another model's vectors.
        StaleIndexError: the lexical index is noticed to be older than the collection: their numbers of rows differ, or a row
            that was found has another text.
    """
    check_encoder(encoder)
    boolean("rescore", rescore)
    boolean("explain", explain)
    single = isinstance(query, str) or encoder.modality(encoder.query_role(query)).is_item(query)
    queries: list[Any] = [query] if single else list(items_of("query", query))
    for i, text in enumerate(queries):
        if isinstance(text, str) and not text.strip():
            raise InputError(f"query {i}: expected some text, found {text!r}")
    fused = hybrid is not None or lexical is not None
    method: Fusion | None = ("minmax" if hybrid is None else hybrid) if fused else None
    wanted = _Wanted(
        k, offset, min_score, diversity, candidates, group_by, group_size, rescore, method, weights, rerank, rerank_top
    )
    with opened(store, make=False) as connection:
        rows = connection.open(collection)
        rows.require_fingerprint(encoder.fingerprint)
        if rows.info.dim and not encoder.allows(rows.info.metric):
            raise CollectionMismatchError(
                f"collection {collection!r} ranks by the metric {rows.info.metric!r}, and this model's vectors are compared by "
                f"{encoder.metric!r}; ingest into a new collection"
            )
        if not rows.info.dim and (wanted.rescore or wanted.diversity):
            raise OptionError(f"rescore and diversity: collection {collection!r} keeps no dense vectors to compare")
        vectors = VectorCache(rows)
        rankers = vector_rankers(rows, encoder, vectors if wanted.rescore else None)
        name, ranker = next(iter(rankers.items()))
        index = LexicalIndex.load(lexical) if isinstance(lexical, str | os.PathLike) else lexical
        if not isinstance(index, LexicalIndex | None):
            raise InputError(f"lexical: expected a LexicalIndex or the folder of one, found {type(index).__name__}")
        if index is not None:
            rankers["lexical"] = LexicalRanker(rows, index)
        asked = {name: ranker}
        if wanted.hybrid is not None:
            if len(rankers) == 1:
                raise InputError(
                    f"hybrid: collection {collection!r} keeps {name} vectors alone, and one ranking cannot be fused; give lexical, an "
                    "index of words (LexicalIndex.build)"
                )
            fusing = HybridRanker(rankers, wanted.hybrid, wanted.weights)
            name, ranker, asked = "hybrid", fusing, fusing.rankers
        if explain:
            check_explainable(asked, collection)
        answers = _ranked(ranker, queries, filter, wanted)
        if index is not None:
            index.require(hit for hits in answers for hit in hits)
        answers = _chosen(answers, wanted, vectors, rows.info.metric)
        if explain:
            answers = explained(queries, answers, rows, encoder, asked)
    if wanted.rerank is not None:
        answers = [reranked(text, hits, wanted.rerank, name) for text, hits in zip(queries, answers, strict=True)]
        answers = _at_least(answers, wanted.min_score)
    answers = [hits[wanted.offset : wanted.offset + wanted.k] for hits in answers]
    return answers[0] if single else answers


@dataclass(frozen=True, slots=True)
class _Wanted:
    """The options of `search`, which fit together: which of the nearest rows are wanted, and ranked by what."""

    k: int
    offset: int
    min_score: float | None
    diversity: float
    candidates: int | None
    group_by: str | None
    group_size: int
    rescore: bool
    hybrid: Fusion | None
    weights: Mapping[str, float] | None
    rerank: RerankerLike | None
    rerank_top: int | None

    def __post_init__(self) -> None:
        if self.weights is not None and self.hybrid is None:
            raise OptionError("hybrid: expected a method, such as 'minmax', beside weights, found None")
        if self.rerank is not None and not callable(getattr(self.rerank, "rank", None)):
            raise OptionError(
                f"rerank: expected a reranker, such as embedkit.Reranker, found {type(self.rerank).__name__}"
            )
        if self.rerank is None and self.rerank_top is not None:
            raise OptionError("rerank: expected a reranker beside rerank_top, found None")
        for name, value, least in (
            ("k", self.k, 1),
            ("offset", self.offset, 0),
            ("candidates", self.candidates, 1),
            ("group_size", self.group_size, 1),
            ("rerank_top", self.rerank_top, 1),
        ):
            if value is not None or name not in ("candidates", "rerank_top"):
                integer(name, value, least=least)
        if self.group_by is not None and (not isinstance(self.group_by, str) or not self.group_by):
            raise OptionError(f"group_by: expected the name of a field of the metadata, found {self.group_by!r}")
        if self.group_by is None and self.group_size != 1:
            raise OptionError("group_by: expected a field beside group_size, found None")
        real("diversity", self.diversity, least=0.0, most=1.0)
        if self.min_score is not None:
            real("min_score", self.min_score)
        end = self.k + self.offset
        if self.rerank_top is not None and self.rerank_top < end:
            raise OptionError(f"rerank_top: expected at least k + offset = {end}, found {self.rerank_top}")
        if self.candidates is not None and self.candidates < self.end:
            what = "k + offset" if self.rerank is None else "rerank_top"
            raise OptionError(f"candidates: expected at least {what} = {self.end}, found {self.candidates}")

    @property
    def end(self) -> int:
        """How many hits are wanted, before a reranker orders them."""
        end = self.k + self.offset
        if self.rerank is None:
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


def _ranked(ranker: Ranker, queries: list[Any], filter: Filter | None, wanted: _Wanted) -> Answers:
    if wanted.group_by is None:
        return ranker(queries, wanted.fetched, filter)
    return ranked_in_groups(
        ranker, queries, wanted.fetched, filter, wanted=wanted.end, field=wanted.group_by, size=wanted.group_size
    )


def _chosen(answers: Answers, wanted: _Wanted, vectors: VectorCache, metric: str) -> Answers:
    """The first hits of each answer, above the threshold unless a reranker is to score them, and unlike each other where
    that is wanted."""
    if wanted.rerank is None:
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
