"""The best rows of each group, such as the chunks of one document."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from embedkit.records.documents import Hit
from embedkit.records.filters import Filter
from embedkit.records.metadata import dump_metadata
from embedkit.retrieval.rankers import Answers, Ranker

MOST_GROUPED = 10_000
"""Rows of a query that are read at most to find other groups."""
_MORE = 4
"""How many times as many rows are read where too few groups were found."""


def first_of_groups(hits: Sequence[Hit], field: str, size: int) -> list[Hit]:
    """The hits in their order, of those that have one value in the metadata's ``field`` the first ``size``; a hit without the field is a
    group by itself."""
    taken: Counter[str] = Counter()
    kept: list[Hit] = []
    for hit in hits:
        if field in hit.metadata:
            group = dump_metadata({field: hit.metadata[field]})
            taken[group] += 1
            if taken[group] > size:
                continue
        kept.append(hit)
    return kept


def ranked_in_groups(
    ranker: Ranker, queries: Sequence[str], k: int, filter: Filter | None, *, wanted: int, field: str, size: int
) -> Answers:
    """`first_of_groups` answers of a ranker that is asked for ``k`` rows, and for more until each query has ``wanted`` hits, there are no more
    rows, or `MOST_GROUPED` were read."""
    while True:
        answers = ranker(queries, k, filter)
        kept = [first_of_groups(hits, field, size) for hits in answers]
        enough = all(len(some) >= wanted or len(hits) < k for some, hits in zip(kept, answers, strict=True))
        if enough or k >= MOST_GROUPED:
            return kept
        k = min(_MORE * k, MOST_GROUPED)
