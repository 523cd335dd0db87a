"""What ranks documents for a query, several such rankings made one, and a reranker as the last word."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeAlias

import numpy as np

from embedkit.encoders.base import BaseEncoder
from embedkit.errors import InputError, OptionError, StaleIndexError
from embedkit.records.documents import Hit
from embedkit.records.filters import Filter
from embedkit.records.metadata import filterable
from embedkit.stores.fingerprint import chosen
from embedkit.stores.guarded import GuardedCollection
from embedkit.vectors.arrays import FloatArray
from embedkit.vectors.similarity import similarity

from .fusion import checked_weights, method_of
from .lexical import LexicalIndex

_FIRST = 4
"""How many times as many candidates as are wanted are compared with a filter first."""

Answers: TypeAlias = list[list[Hit]]


class Ranker(Protocol):
    """Gives for each query the ``k`` best hits that satisfy a filter, best first; fewer only where there are no more."""

    def __call__(self, queries: Sequence[str], k: int, filter: Filter | None) -> Answers:
        """The hits of each query."""


class VectorCache:
    """The (dim,) vectors of a collection's rows; each is read once."""

    def __init__(self, rows: GuardedCollection) -> None:
        self._rows = rows
        self._known: dict[str, FloatArray | None] = {}

    def near(self, answers: Answers) -> dict[str, FloatArray]:
        """The vector of each row that was found, unless it was deleted meanwhile."""
        ids = list(dict.fromkeys(hit.id for hits in answers for hit in hits))
        missing = [row_id for row_id in ids if row_id not in self._known]
        self._known.update(dict.fromkeys(missing))
        self._known.update((record.id, record.vector) for record in self._rows.get(missing, with_vectors=True))
        return {row_id: vector for row_id in ids if (vector := self._known[row_id]) is not None}


class EncodedQueries:
    """What a model makes of queries, by kind of output: all kinds that were named, of one pass, dense ones cut to ``dim`` numbers."""

    def __init__(self, encoder: BaseEncoder, outputs: Mapping[str, str], dim: int | None = None) -> None:
        self._encoder, self._outputs, self._dim = encoder, dict(outputs), dim
        self._queries: Sequence[Any] | None = None
        self._values: Mapping[str, Any] = {}

    def __call__(self, queries: Sequence[str], kind: str) -> Any:
        """The queries' values of that kind."""
        if self._queries is not queries:
            self._queries = queries
            role = self._encoder.query_role(queries)
            names = list(self._outputs.values())
            self._values = self._encoder.encode_outputs(queries, role=role, outputs=names, dim=self._dim)
        return self._values[self._outputs[kind]]


@dataclass(frozen=True, slots=True)
class VectorRanker:
    """Ranks by one kind of the vectors that a collection keeps, by dense ones with ``full`` as they are read back."""

    rows: GuardedCollection
    asked: EncodedQueries
    kind: str
    full: VectorCache | None = None

    def __call__(self, queries: Sequence[str], k: int, filter: Filter | None) -> Answers:
        """The ``k`` nearest rows of each query."""
        asked, rows = self.asked(queries, self.kind), self.rows
        if self.kind != "dense":
            query = rows.query_sparse if self.kind == "sparse" else rows.query_multivector
            return query(asked, k, filter=filter)
        answers = rows.query(asked, k, filter=filter)
        if self.full is None:
            return answers
        vectors, metric = self.full.near(answers), rows.info.metric
        return [_rescored(hits, vector, vectors, metric) for hits, vector in zip(answers, asked, strict=True)]


def vector_rankers(rows: GuardedCollection, encoder: BaseEncoder, full: VectorCache | None) -> dict[str, Ranker]:
    """A ranker for each kind of vectors that the collection keeps and the model gives: ``dense``, ``sparse``,
    ``multivector``, in this order. Raises `InputError` where there is none."""
    info = rows.info
    outputs = chosen(info.fingerprint, encoder.outputs("query"))
    sizes = {"dense": info.dim, "sparse": info.sparse, "multivector": info.multivector}
    kinds = [kind for kind, size in sizes.items() if size and kind in outputs]
    if not kinds:
        raise InputError(
            f"collection {info.name!r} keeps {', '.join(kind for kind, size in sizes.items() if size)} vectors, the model gives "
            f"{', '.join(outputs)}; search it with the bundle that it was made with"
        )
    size = encoder.outputs("query")[outputs["dense"]].size if "dense" in kinds else 0
    dim = info.dim if size != info.dim else None
    asked = EncodedQueries(encoder, {kind: outputs[kind] for kind in kinds}, dim)
    return {kind: VectorRanker(rows, asked, kind, full) for kind in kinds}


def _rescored(hits: list[Hit], asked: FloatArray, vectors: Mapping[str, FloatArray], metric: str) -> list[Hit]:
    hits = [hit for hit in hits if hit.id in vectors]
    if not hits:
        return hits
    scores = similarity(asked, np.stack([vectors[hit.id] for hit in hits]), fn=metric)[0]
    return best_first([replace(hit, score=float(score)) for hit, score in zip(hits, scores, strict=True)])


@dataclass(frozen=True, slots=True)
class LexicalRanker:
    """Ranks by BM25; a row that has no word of the query is not found. Raises `StaleIndexError` where it notices that
    the index is older than the collection.

    A filter is exact: some more candidates than are wanted are compared with it, and where too few satisfy it, the ids
    of all rows that do are read, and the best of these are taken.
    """

    rows: GuardedCollection
    index: LexicalIndex

    def __call__(self, queries: Sequence[str], k: int, filter: Filter | None) -> Answers:
        """The ``k`` best rows of each query."""
        self.index.require_count(self.rows)
        if filter is None:
            return self._hits(self.index.search(queries, k))
        found = self.index.search(queries, _FIRST * k)
        answers = [[hit for hit in hits if filter.matches(filterable(hit.metadata))][:k] for hits in self._hits(found)]
        short = [
            i for i, scores in enumerate(found) if len(answers[i]) < k and len(scores) == _FIRST * k
        ]  # of the others all that have a word of the query were compared
        if short:
            ids = self._satisfying(filter)
            whole = self._hits(self.index.search([queries[i] for i in short], k, among=ids))
            for i, hits in zip(short, whole, strict=True):
                answers[i] = hits
        return answers

    def _hits(self, found: list[dict[str, float]]) -> Answers:
        ids = list(dict.fromkeys(row_id for scores in found for row_id in scores))
        records = {record.id: record for record in self.rows.get(ids)}
        self.index.require(records.values())
        gone = next((row_id for row_id in ids if row_id not in records), None)
        if gone is not None:
            raise StaleIndexError(
                f"the lexical index is older than its collection: the row {gone!r} is gone; build it again"
            )
        return [
            [Hit(row_id, score, records[row_id].text, records[row_id].metadata) for row_id, score in scores.items()]
            for scores in found
        ]

    def _satisfying(self, filter: Filter) -> set[str]:
        return {record.id for record in self.rows.records(filter)}


class HybridRanker:
    """Several rankers whose rankings are fused (`embedkit.retrieval.fusion`); the ``parts`` of a hit are the scores that each gave.

    ``weights`` are by the rankers' names, 1 where nothing is said; a ranker of weight 0 is not asked. Raises `InputError`
    for another name, an impossible weight, or an unknown method.
    """

    def __init__(self, rankers: Mapping[str, Ranker], method: str, weights: Mapping[str, float] | None = None) -> None:
        self._fuse = method_of(method)
        if weights is not None and not isinstance(weights, Mapping):
            raise OptionError(f"weights: expected numbers by the names {', '.join(rankers)}, found {weights!r:.80}")
        unknown = [name for name in weights or {} if name not in rankers]
        if unknown:
            raise OptionError(f"weights: expected the names {', '.join(rankers)}, found {unknown[0]!r}")
        given = {name: 1.0 if weights is None else weights.get(name, 1.0) for name in rankers}
        checked_weights(len(given), list(given.values()))
        self.rankers = {name: ranker for name, ranker in rankers.items() if given[name]}
        self._weights = [given[name] for name in self.rankers]

    def __call__(self, queries: Sequence[str], k: int, filter: Filter | None) -> Answers:
        """What the ``k`` best hits of each ranker make: at least ``k`` hits, where one of them found so many."""
        found = [ranker(queries, k, filter) for ranker in self.rankers.values()]
        return [self._fused(list(rankings)) for rankings in zip(*found, strict=True)]

    def _fused(self, rankings: list[list[Hit]]) -> list[Hit]:
        by_id = {hit.id: hit for hits in reversed(rankings) for hit in hits}
        parts: dict[str, dict[str, float]] = {row_id: {} for row_id in by_id}
        for name, hits in zip(self.rankers, rankings, strict=True):
            for hit in hits:
                parts[hit.id][name] = hit.score
        scores = self._fuse([{hit.id: hit.score for hit in hits} for hits in rankings], self._weights)
        return [replace(by_id[row_id], score=score, parts=parts[row_id]) for row_id, score in scores.items()]


def best_first(hits: list[Hit]) -> list[Hit]:
    """By falling score; equal scores by id."""
    return sorted(hits, key=lambda hit: (-hit.score, hit.id))
