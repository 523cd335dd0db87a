"""What of a query met what of the documents that were found, and how much of their scores that is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from embedkit.encoders.base import BaseEncoder
from embedkit.errors import OptionError
from embedkit.records.documents import Match, Record
from embedkit.retrieval.rankers import Answers, LexicalRanker, Ranker, VectorRanker
from embedkit.stores.guarded import GuardedCollection

from .naming import Names

_WHOLE = ("sparse", "multivector")


def check_explainable(rankers: Mapping[str, Ranker], collection: str) -> None:
    """Raise `OptionError` where no score of these rankers has parts that could be told."""
    if not any(name in _WHOLE or isinstance(ranker, LexicalRanker) for name, ranker in rankers.items()):
        raise OptionError(
            f"explain: collection {collection!r} is ranked by one dense vector a document, of which no word has a score of its own; leave "
            "explain out, or rank by words too (lexical=, --hybrid), or by a model with sparse or multi-vectors"
        )


def explained(
    queries: Sequence[Any],
    answers: Answers,
    rows: GuardedCollection,
    encoder: BaseEncoder,
    rankers: Mapping[str, Ranker],
) -> Answers:
    """The hits with what matched in each (`Hit.matches`), by the name of each of the ``rankers`` that found it: of a single one, or
    where a hit has parts by these."""
    ids = list(dict.fromkeys(hit.id for hits in answers for hit in hits))
    stored = {row.id: row for row in rows.whole(ids)[0]} if any(name in rankers for name in _WHOLE) else {}
    role = encoder.query_role(queries)
    asking, answering = Names(encoder, role), Names(encoder, "document")
    out: Answers = []
    for number, (query, hits) in enumerate(zip(queries, answers, strict=True)):
        matches: dict[str, dict[str, list[Match]]] = {hit.id: {} for hit in hits}
        for name, ranker in rankers.items():
            found = [hit for hit in hits if not hit.parts or name in hit.parts]
            if isinstance(ranker, LexicalRanker):
                told = ranker.index.words(query, [hit.id for hit in found])
                for hit in found:
                    own = told.get(hit.id, {})
                    matches[hit.id][name] = _largest([Match(word, word, score) for word, score in own.items()])
            elif isinstance(ranker, VectorRanker) and name in _WHOLE:
                asked = ranker.asked(queries, name)[number : number + 1]
                for hit in found:
                    if hit.id in stored:
                        row = stored[hit.id]
                        made = (
                            _words(asked, row, asking)
                            if name == "sparse"
                            else _tokens(asked[0], query, row, asking, answering)
                        )
                        matches[hit.id][name] = _largest(made)
        out.append([replace(hit, matches=matches[hit.id]) for hit in hits])
    return out


def _words(asked: Any, row: Record, names: Names) -> list[Match]:
    """The words that both have, with the products of their weights."""
    assert row.sparse is not None
    (mine, weights), (theirs, others) = asked[0], row.sparse[0]
    both, i, j = np.intersect1d(mine, theirs, assume_unique=True, return_indices=True)
    products = weights[i].astype(np.float64) * others[j].astype(np.float64)
    words = names.words(both.tolist(), asked.dim)
    return [Match(word, word, score) for word, score in zip(words, products.tolist(), strict=True)]


def _tokens(asked: npt.NDArray[np.float32], query: Any, row: Record, asking: Names, answering: Names) -> list[Match]:
    """For each token of the query the nearest one of the document, the first of equal ones, with their product."""
    assert row.multivector is not None
    kept = np.asarray(row.multivector, np.float64)
    if not len(kept):
        return []
    products = asked.astype(np.float64) @ kept.T
    nearest = products.argmax(axis=1)
    mine = asking.tokens(query, len(asked))
    theirs = answering.tokens(answering.modality.of_row(row.text, row.metadata), len(kept))
    scores = products[np.arange(len(asked)), nearest].tolist()
    return [Match(token, theirs[place], score) for token, place, score in zip(mine, nearest, scores, strict=True)]


def _largest(matches: list[Match]) -> list[Match]:
    """The largest first; equal ones as they stood."""
    return sorted(matches, key=lambda match: -match.score)
