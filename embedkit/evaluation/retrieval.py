"""Search over a corpus, judged by which documents are relevant to a query."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..encoding import TextEncoder
from ..errors import InputError
from .extras import needed
from .nearness import Similarity, Vectors64, blocks, check_finite, check_similarity, crossed, encoded, prepared
from .rows import cells, entries, find, number_of, refuse
from .task import Measured, Rows, Task

DEPTH = 1_000
"""Documents of a ranking that are looked at, as trec_eval does by default."""

_AT_A_TIME = 256
_NAMES = (("query-id", "corpus-id", "score"), ("query-id", "doc-id", "relevance"))
_MEASURES = {
    "ndcg@10": "ndcg_cut_10",
    "recall@10": "recall_10",
    "recall@100": "recall_100",
    "precision@10": "P_10",
    "map@1000": "map",
}


@dataclass(frozen=True)
class Retrieval(Task):
    """Queries and the documents relevant to them. The search is exact, over all documents, in blocks: memory grows with
    the queries, not with the corpus.

    nDCG@10 (gains are the grades), recall@10 and @100, precision@10, MAP of the first 1,000 and MRR@10 are computed by
    trec_eval, each a mean over the queries. Equal scores are ranked in the order of the corpus.
    """

    source: str
    queries: tuple[str, ...]
    relevant: tuple[Mapping[int, int], ...]
    """For each query document -> grade over 0; documents are counted from 0 in their order."""
    documents: Callable[[], Iterable[str]]
    """Gives the texts of the corpus, again at each call."""
    count: int
    """How many documents there are."""
    own: tuple[int, ...] = ()
    """For each query the document that is left out of its ranking, or -1."""
    similarity: Similarity | None = None
    """By default the model's own."""
    notes: tuple[str, ...] = ()

    name = "retrieval"
    units = "queries"

    def __post_init__(self) -> None:
        check_similarity(self.similarity)
        if not self.queries or len(self.relevant) != len(self.queries) or not all(self.relevant):
            raise InputError("retrieval: expected at least one query, and a relevant document for each")
        object.__setattr__(self, "size", {"queries": len(self.queries), "documents": self.count})

    @classmethod
    def read(
        cls,
        folder: str | os.PathLike[str],
        *,
        split: str = "test",
        similarity: Similarity | None = None,
        ignore_identical_ids: bool = False,
    ) -> Retrieval:
        """A folder as BEIR lays it out: ``corpus.jsonl`` (or ``docs.jsonl``) with ``_id`` or ``id``, ``text`` and
        perhaps ``title``, ``queries.jsonl``, each may be gzipped; and ``qrels.tsv`` or ``qrels/SPLIT.tsv``: query,
        document, grade, with a header or without, or the four columns of TREC.

        A grade of 0 or less is not relevant; queries without a relevant document are left out, with a note.
        ``ignore_identical_ids`` leaves the document with a query's own id out of its ranking, as BEIR does for corpora
        that the queries were taken from.
        """
        path = Path(folder)
        if not path.is_dir():
            raise InputError(
                f"{path}: expected a folder with corpus.jsonl, queries.jsonl and qrels.tsv, found {'a file' if path.exists() else 'nothing'}"
            )
        corpus = find(path, "corpus.jsonl", "docs.jsonl")
        place = {key: index for index, (key, _) in enumerate(entries(corpus))}
        queries = dict(entries(find(path, "queries.jsonl")))
        qrels = find(path, "qrels.tsv", f"qrels/{split}.tsv")
        grades: dict[str, dict[int, int]] = {}
        for where, query, document, grade in _judgements(qrels):
            for what, known, key in (("query", queries, query), ("document", place, document)):
                if key not in known:
                    refuse(
                        where,
                        f"a {what} that is in the folder",
                        f"the unknown id {key!r:.60}; give the {what}s that these judgements were made for, or remove the line",
                    )
            found = grades.setdefault(query, {})
            found[place[document]] = max(grade, found.get(place[document], 0))
        relevant = {q: {d: grade for d, grade in found.items() if grade > 0} for q, found in grades.items()}
        asked = [query for query in queries if relevant.get(query)]
        if not asked:
            raise InputError(
                f"{qrels}: expected judgements with a grade over 0, found none of {sum(map(len, grades.values()))}; without relevant "
                "documents there is nothing to measure"
            )
        unjudged = len(queries) - len(asked)
        return cls(
            str(folder),
            tuple(queries[query] for query in asked),
            tuple(relevant[query] for query in asked),
            lambda: (text for _, text in entries(corpus)),
            len(place),
            tuple(place.get(query, -1) for query in asked) if ignore_identical_ids else (),
            similarity,
            (f"queries without a relevant document left out: {unjudged:,}",) if unjudged else (),
        )

    def measure(self, encoder: TextEncoder, *, progress: bool = False) -> Measured:
        """The measures of each query; their means are the statistic."""
        trec = needed("pytrec_eval", "judging a search")
        order = self.ranking(encoder, progress=progress)
        judged = {str(q): {str(d): grade for d, grade in found.items()} for q, found in enumerate(self.relevant)}
        columns: dict[str, list[float]] = {name: [] for name in (*_MEASURES, "mrr@10")}
        whole = trec.RelevanceEvaluator(judged, {"ndcg_cut.10", "recall.10,100", "P.10", "map"})
        first = trec.RelevanceEvaluator(judged, {"recip_rank"})
        for rows in blocks(len(order), _AT_A_TIME):
            runs = {str(q): _run(order[q]) for q in range(rows.start, rows.stop)}
            tops = {str(q): _run(order[q][:10]) for q in range(rows.start, rows.stop)}
            found, reciprocal = whole.evaluate(runs), first.evaluate(tops)
            for query in runs:
                for name, theirs in _MEASURES.items():
                    columns[name].append(found[query][theirs])
                columns["mrr@10"].append(reciprocal[query]["recip_rank"])
        values = np.array(list(columns.values()))

        def statistic(rows: Rows) -> dict[str, float]:
            return dict(zip(columns, values[:, rows].mean(axis=1).tolist(), strict=True))

        return Measured(len(order), statistic)

    def ranking(
        self, encoder: TextEncoder, *, depth: int = DEPTH, progress: bool = False
    ) -> list[npt.NDArray[np.intp]]:
        """For each query up to ``depth`` documents, the best first."""
        from tqdm import tqdm

        fn = self.similarity or encoder.metric
        asked = prepared(encoded(encoder, self.queries, "query", progress=progress), fn)
        best = [_Best(asked[rows], self.own[rows], fn, depth) for rows in blocks(len(asked))]
        done = 0
        with tqdm(total=self.count, unit="document", disable=not progress) as bar:
            for window in encoder.stream(self.documents(), role="document"):
                check_finite(window, "document")
                for rows in blocks(len(window)):
                    vectors = prepared(window[rows], fn)
                    for part in best:
                        part.take(vectors, done + rows.start)
                done += len(window)
                bar.update(len(window))
        if done != self.count:
            raise InputError(
                f"{self.source}: expected {self.count:,} documents, found {done:,}; do not change it meanwhile"
            )
        return [row[scores > -np.inf] for part in best for row, scores in zip(part.indices, part.scores, strict=True)]


class _Best:
    """The best documents so far of some queries, best first and of equal ones the first."""

    def __init__(self, asked: Vectors64, own: tuple[int, ...], fn: Similarity, depth: int) -> None:
        self.asked, self.fn, self.depth = asked, fn, depth
        self.own = np.array(own, dtype=np.intp) if own else np.full(len(asked), -1, dtype=np.intp)
        self.scores = np.empty((len(asked), 0), dtype=np.float32)
        self.indices = np.empty((len(asked), 0), dtype=np.intp)

    def take(self, vectors: Vectors64, start: int) -> None:
        """Documents that come after all before, the first of them with the index ``start``."""
        scores = crossed(self.asked, vectors, self.fn)
        inside = np.flatnonzero((self.own >= start) & (self.own < start + len(vectors)))
        scores[inside, self.own[inside] - start] = -np.inf
        indices = np.broadcast_to(np.arange(start, start + len(vectors), dtype=np.intp), scores.shape)
        scores = np.concatenate([self.scores, scores], axis=1)
        indices = np.concatenate([self.indices, indices], axis=1)
        order = np.argsort(-scores, axis=1, kind="stable")[:, : self.depth]
        self.scores = np.take_along_axis(scores, order, axis=1)
        self.indices = np.take_along_axis(indices, order, axis=1)


def _run(order: Any) -> dict[str, float]:
    """A ranking for trec_eval, which orders by score itself and breaks ties by name: scores that fall strictly."""
    return {str(document): float(len(order) - rank) for rank, document in enumerate(order.tolist())}


def _judgements(path: Path) -> Iterator[tuple[str, str, str, int]]:
    """Place, query, document and grade of each line."""
    columns: tuple[int, int, int] | None = None
    width = 0
    for where, cut in cells(path):
        row = cut[0].split() if len(cut) == 1 else cut
        if columns is None:
            width, columns = len(row), _header(row)
            if columns is not None:
                continue
            if width not in (3, 4):
                refuse(
                    where,
                    " or ".join(", ".join(names) for names in _NAMES) + ", or these columns without a header",
                    f"{width} columns: {', '.join(row)!r:.80}",
                )
            columns = (0, width - 2, width - 1)
        if len(row) != width:
            refuse(where, f"{width} columns as in the first line", str(len(row)))
        query, document, said = (row[column] for column in columns)
        grade = number_of({"grade": said}, "grade", where)
        if grade != int(grade):
            refuse(where, "a whole number as grade", said)
        yield where, query, document, int(grade)


def _header(row: list[str]) -> tuple[int, int, int] | None:
    names = [name.strip().lower().replace("_", "-") for name in row]
    for wanted in _NAMES:
        if set(wanted) <= set(names):
            query, document, grade = (names.index(name) for name in wanted)
            return query, document, grade
    return None
