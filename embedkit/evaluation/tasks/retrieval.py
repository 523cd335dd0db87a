"""Search over a corpus, judged by which documents are relevant to a query."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn

import numpy as np
import numpy.typing as npt

from embedkit.encoders.base import BaseEncoder
from embedkit.errors import InputError
from embedkit.evaluation.beir import Files, entries, judgements
from embedkit.evaluation.labelled import FilePlace, check_file, refuse
from embedkit.evaluation.rankings import DEPTH, Ranking, judged, nearest
from embedkit.evaluation.scores import Similarity, check_comparable, check_similarity, encoded
from embedkit.system.files.addresses import without_query
from embedkit.vectors.values import Values

from .task import Measured, Rows, Task


@dataclass(frozen=True)
class Retrieval(Task):
    """Queries and the documents relevant to them. The search is exact, over all documents, in blocks: memory grows with
    the queries, not with the corpus.

    nDCG@k (gains are the grades), recall@k and @100, MRR@k, precision@k, and MAP of the first 1,000 are computed by
    trec_eval, each a mean over the queries. Equal scores are ranked in the order of the corpus.

    Where ``wordings`` has the queries in other languages or words too, all are asked: each measure is the mean over the
    wordings, then over the queries, and there is the mean rank variance (Nie et al. 2024, *Improving the Consistency in
    Cross-Lingual Cross-Modal Retrieval with 1-to-K Contrastive Learning*): the variance of a relevant document's ranks,
    from 1, over the K wordings (divided by K), as a mean over a query's relevant documents, then over the queries. 0
    says that the wording makes no difference. A document that is not among the first 1,000 has rank 1,001.
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
    at: tuple[int, ...] = (10,)
    """The depths k of the measures, 1 to 1,000."""
    wordings: tuple[tuple[str, ...], ...] = ()
    """The same queries, in the same order, in other languages or words."""

    name = "retrieval"
    units = "queries"

    def __post_init__(self) -> None:
        check_similarity(self.similarity)
        if not self.queries or len(self.relevant) != len(self.queries) or not all(self.relevant):
            raise InputError("retrieval: expected at least one query, and a relevant document for each")
        if not self.at or any(isinstance(k, bool) or not isinstance(k, int) or not 1 <= k <= DEPTH for k in self.at):
            raise InputError(f"k: expected whole numbers from 1 to {DEPTH:,}, found {self.at!r}")
        if any(len(wording) != len(self.queries) for wording in self.wordings):
            raise InputError("retrieval: expected as many queries in each wording as there are queries")
        object.__setattr__(self, "at", tuple(sorted(set(self.at))))

    @property
    def size(self) -> Mapping[str, int]:
        """How much there is of what."""
        more = {"wordings of each": 1 + len(self.wordings)} if self.wordings else {}
        return {"queries": len(self.queries), **more, "documents": self.count}

    @classmethod
    def read(
        cls,
        folder: str | os.PathLike[str],
        *,
        split: str = "test",
        similarity: Similarity | None = None,
        ignore_identical_ids: bool = False,
        at: Sequence[int] = (10,),
        wordings: Sequence[str | os.PathLike[str]] = (),
    ) -> Retrieval:
        """A folder, or the address of one (``s3://``, ``gs://``, ``hf://``, ``https://``), as BEIR lays it out: ``corpus.jsonl`` (or
        ``docs.jsonl``) with ``_id`` or ``id``, ``text`` and perhaps ``title``, ``queries.jsonl``, each may be gzipped; and
        ``qrels.tsv`` or ``qrels/SPLIT.tsv``: query, document, grade, with a header or without, or the four columns of TREC.

        The corpus is read once here and once for each encoder, from an address too. Raises `InputError` for a folder that lacks a
        file or cannot be read, `MissingExtraError` without an address's package.

        A grade of 0 or less is not relevant; queries without a relevant document are left out, and so are judgements of
        documents that the corpus lacks (published sets have some), each with a note.
        ``ignore_identical_ids`` leaves the document with a query's own id out of its ranking, as BEIR does for corpora
        that the queries were taken from. ``wordings`` are further files of queries that have the same ids.
        """
        files = Files.of(folder, split)
        place = {key: index for index, (key, _) in enumerate(entries(files.corpus))}
        queries = dict(entries(files.queries))
        grades: dict[str, dict[int, int]] = {}
        first, unknown = None, 0
        for where, query, document, grade in judgements(files.judgements):
            if query not in queries:
                _refuse_unknown(where, "query", "queries", query)
            if document not in place:
                first = first or (where, document)
                unknown += 1
                continue
            found = grades.setdefault(query, {})
            found[place[document]] = max(grade, found.get(place[document], 0))
        if first and not grades:
            _refuse_unknown(first[0], "document", "documents", first[1])
        relevant = {q: {d: grade for d, grade in found.items() if grade > 0} for q, found in grades.items()}
        asked = [query for query in queries if relevant.get(query)]
        if not asked:
            raise InputError(
                f"{files.judgements}: expected judgements with a grade over 0, found none of {sum(map(len, grades.values()))}; without relevant "
                "documents there is nothing to measure"
            )
        unjudged = len(queries) - len(asked)
        notes = (
            f"judgements of documents that the folder lacks left out: {unknown:,}" if unknown else "",
            f"queries without a relevant document left out: {unjudged:,}" if unjudged else "",
        )
        return cls(
            str(folder),
            tuple(queries[query] for query in asked),
            tuple(relevant[query] for query in asked),
            lambda: (text for _, text in entries(files.corpus)),
            len(place),
            tuple(place.get(query, -1) for query in asked) if ignore_identical_ids else (),
            similarity,
            tuple(filter(None, notes)),
            tuple(at),
            tuple(_wording(check_file(other), asked) for other in wordings),
        )

    def measure(self, encoder: BaseEncoder, *, progress: bool = False) -> Measured:
        """The measures of each query; their means are the statistic."""
        rankings = self.ranking(encoder, progress=progress)
        count = len(self.queries)
        columns = judged(rankings, self.relevant * (1 + len(self.wordings)), self.at)
        # (wordings, queries), and the mean over the wordings.
        values = {name: np.reshape(given, (-1, count)).mean(axis=0) for name, given in columns.items()}
        if self.wordings:
            values["mrv"] = self._rank_variances(rankings)

        def statistic(rows: Rows) -> dict[str, float]:
            return {name: float(given[rows].mean()) for name, given in values.items()}

        return Measured(count, statistic)

    def _rank_variances(self, rankings: list[Ranking]) -> npt.NDArray[np.float64]:
        """(queries,) the variance of a relevant document's rank over the wordings, a mean over these documents."""
        out = np.empty(len(self.relevant))
        for query, relevant in enumerate(self.relevant):
            ranks = np.array(
                [_ranks(found, relevant) for found in rankings[query :: len(self.relevant)]], dtype=np.float64
            )
            out[query] = ranks.var(axis=0).mean()
        return out

    def ranking(self, encoder: BaseEncoder, *, depth: int = DEPTH, progress: bool = False) -> list[Ranking]:
        """For each query up to ``depth`` documents, the best first; then for each in its next wording."""
        from tqdm import tqdm

        check_comparable(encoder, self.similarity)
        wordings = (self.queries, *self.wordings)
        asked = encoded(encoder, [query for wording in wordings for query in wording], "query", progress=progress)
        own = self.own * len(wordings) or None

        with tqdm(total=self.count, unit="document", disable=not progress) as bar:

            def windows() -> Iterator[Values]:
                for window in encoder.stream(self.documents(), role="document"):
                    yield window
                    bar.update(len(window))
                    read.append(len(window))

            read: list[int] = []
            found = nearest(encoder, asked, windows(), own=own, fn=self.similarity, depth=depth)
        if sum(read) != self.count:
            raise InputError(
                f"{self.source}: expected {self.count:,} documents, found {sum(read):,}; do not change it meanwhile"
            )
        return found


def _ranks(ranking: Ranking, documents: Iterable[int]) -> list[int]:
    """The ranks, from 1, of the documents; one more than the depth where they are not in the ranking."""
    place = {document: rank for rank, document in enumerate(ranking.tolist(), 1)}
    return [place.get(document, DEPTH + 1) for document in documents]


def _refuse_unknown(where: str, what: str, several: str, key: str) -> NoReturn:
    refuse(
        where,
        f"a {what} that is in the folder",
        f"the unknown id {key!r:.60}; give the {several} that these judgements were made for, or remove the line",
    )


def _wording(path: FilePlace, ids: Sequence[str]) -> tuple[str, ...]:
    """The queries ``ids`` in another file."""
    queries = dict(entries(path))
    if missing := [key for key in ids if key not in queries]:
        refuse(
            without_query(str(path)),
            "all judged queries of the folder, by the same ids",
            f"{len(missing):,} of {len(ids):,} missing, {missing[0]!r:.60} first; add them, or leave this file out",
        )
    return tuple(queries[key] for key in ids)
