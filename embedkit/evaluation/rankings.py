"""Rankings of documents by their nearness to queries, and what trec_eval says of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from embedkit.encoders.base import BaseEncoder
from embedkit.system.extras import needed
from embedkit.vectors.geometry import blocks
from embedkit.vectors.values import Values

from .scores import Similarity, check_comparable, check_finite, crossed

DEPTH = 1_000
"""Documents of a ranking that are looked at, as trec_eval does by default."""

Ranking: TypeAlias = npt.NDArray[np.intp]
"""(up to the depth,) the numbers of documents, the best first and of equal ones the first."""

_AT_A_TIME = 256


def nearest(
    encoder: BaseEncoder,
    queries: Values,
    documents: Iterable[Values],
    *,
    own: Sequence[int] | None = None,
    fn: Similarity | None = None,
    depth: int = DEPTH,
) -> list[Ranking]:
    """For each row of ``queries`` (n) the nearest documents, whose vectors come in windows and are numbered from 0 in their
    order: an exact search, whose memory grows with the queries and not with the documents.

    ``own`` names for each query the document that is left out of its ranking, or -1; ``fn`` is the measure, by default the
    model's own. Raises `InputError` for NaN or infinity in a window.
    """
    check_comparable(encoder, fn)
    left_out = np.array([-1] * len(queries) if own is None else own, dtype=np.intp)
    best = [_Best(encoder, queries[rows], left_out[rows], fn, depth) for rows in blocks(len(queries))]
    done = 0
    for window in documents:
        check_finite(window, "document")
        for rows in blocks(len(window)):
            for part in best:
                part.take(window[rows], done + rows.start)
        done += len(window)
    return [row[scores > -np.inf] for part in best for row, scores in zip(part.indices, part.scores, strict=True)]


def judged(
    rankings: Sequence[Ranking], relevant: Sequence[Mapping[int, int]], at: Sequence[int] = (10,)
) -> dict[str, npt.NDArray[np.float64]]:
    """(n,) measures of n rankings by trec_eval: nDCG@k (gains are the grades), recall@k and @100, MRR@k and precision@k for
    each k of ``at``, and MAP. ``relevant`` maps for each ranking its documents to their grades over 0.

    Raises `MissingExtraError` without trec_eval.
    """
    trec = needed("pytrec_eval", "judging a search")
    depths = ",".join(map(str, sorted({*at, 100})))
    wanted = {f"ndcg_cut.{depths}", f"recall.{depths}", f"P.{depths}", "map", "recip_rank"}
    columns: dict[str, list[float]] = {}
    for rows in blocks(len(rankings), _AT_A_TIME):
        asked = range(rows.start, rows.stop)
        grades = {str(q): {str(document): grade for document, grade in relevant[q].items()} for q in asked}
        found = trec.RelevanceEvaluator(grades, wanted).evaluate({str(q): _run(rankings[q]) for q in asked})
        for q in asked:
            for name, value in _named(found[str(q)], at).items():
                columns.setdefault(name, []).append(value)
    return {name: np.array(values, dtype=np.float64) for name, values in columns.items()}


class _Best:
    """The best documents so far of some queries, best first and of equal ones the first."""

    def __init__(
        self, encoder: BaseEncoder, queries: Values, own: npt.NDArray[np.intp], fn: Similarity | None, depth: int
    ) -> None:
        self.encoder, self.queries, self.own, self.fn, self.depth = encoder, queries, own, fn, depth
        self.scores = np.empty((len(queries), 0), dtype=np.float32)
        self.indices = np.empty((len(queries), 0), dtype=np.intp)

    def take(self, values: Values, start: int) -> None:
        """Documents that come after all before, the first of them with the index ``start``."""
        scores = crossed(self.encoder, self.queries, values, self.fn)
        inside = np.flatnonzero((self.own >= start) & (self.own < start + len(values)))
        scores[inside, self.own[inside] - start] = -np.inf
        indices = np.broadcast_to(np.arange(start, start + len(values), dtype=np.intp), scores.shape)
        scores = np.concatenate([self.scores, scores], axis=1)
        indices = np.concatenate([self.indices, indices], axis=1)
        order = np.argsort(-scores, axis=1, kind="stable")[:, : self.depth]
        self.scores = np.take_along_axis(scores, order, axis=1)
        self.indices = np.take_along_axis(indices, order, axis=1)


def _run(ranking: Any) -> dict[str, float]:
    """A ranking for trec_eval, which orders by score itself and breaks ties by name: scores that fall strictly."""
    return {str(document): float(len(ranking) - rank) for rank, document in enumerate(ranking.tolist())}


def _named(found: Mapping[str, float], at: Sequence[int]) -> dict[str, float]:
    """What trec_eval found of a query, by our names."""
    first = found["recip_rank"]
    rank = round(1 / first) if first else DEPTH + 1
    return {
        **{f"ndcg@{k}": found[f"ndcg_cut_{k}"] for k in at},
        **{f"recall@{k}": found[f"recall_{k}"] for k in sorted({*at, 100})},
        **{f"mrr@{k}": first if rank <= k else 0.0 for k in at},
        **{f"precision@{k}": found[f"P_{k}"] for k in at},
        f"map@{DEPTH}": found["map"],
    }
