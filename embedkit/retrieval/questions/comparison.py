"""Two collections asked the same: what a new model finds beside the old one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from embedkit.checks import items_of, positive, real
from embedkit.encoders.base import BaseEncoder
from embedkit.encoders.info import check_encoder
from embedkit.errors import InputError
from embedkit.records.documents import Hit
from embedkit.retrieval.rankers import vector_rankers
from embedkit.stores.guarded import GuardedCollection


@dataclass(frozen=True, slots=True)
class Beside:
    """What two collections answer to a ``query``, best first."""

    query: str
    old: list[Hit]
    new: list[Hit]

    @property
    def overlap(self) -> float:
        """The part of the hits that both have, from 0 to 1: of as many as the longer answer has; 1 where both are empty."""
        ids = {hit.id for hit in self.old} & {hit.id for hit in self.new}
        most = max(len(self.old), len(self.new))
        return len(ids) / most if most else 1.0


def compare(
    queries: Sequence[str],
    old: tuple[BaseEncoder, GuardedCollection],
    new: tuple[BaseEncoder, GuardedCollection],
    *,
    k: int = 10,
) -> list[Beside]:
    """The ``k`` best hits of each query in two collections, each asked by its own model, by the first kind of vectors that it keeps.

    Raises `CollectionMismatchError` where a model is not that of its collection, and `InputError` for no queries, or an empty one.
    """
    positive("k", k)
    texts = list(items_of("queries", queries, "query"))
    if not texts or any(not isinstance(text, str) or not text.strip() for text in texts):
        raise InputError("queries: expected some, each of some text")
    answers = []
    for encoder, rows in (old, new):
        check_encoder(encoder)
        rows.require_fingerprint(encoder.fingerprint)
        ranker = next(iter(vector_rankers(rows, encoder, None).values()))
        answers.append(ranker(texts, k, None))
    return [Beside(*found) for found in zip(texts, *answers, strict=True)]


class OverlapJudge:
    """A ``judge`` of `embedkit.migrate`: asks both collections the queries, keeps what they ``found``, and says yes where the mean
    ``overlap`` of the ten best hits is ``least`` or more."""

    def __init__(self, queries: Sequence[str], old: BaseEncoder, new: BaseEncoder, *, least: float = 0.0) -> None:
        self.queries, self.old, self.new = queries, old, new
        self.least = real("least", least, least=0.0, most=1.0)
        self.found: list[Beside] = []

    def __call__(self, old: GuardedCollection, new: GuardedCollection) -> bool:
        """Whether the two overlap as much as is wanted."""
        self.found = compare(self.queries, (self.old, old), (self.new, new))
        return self.overlap >= self.least

    @property
    def overlap(self) -> float:
        """The mean of the overlaps, from 0 to 1; 0 before anything was asked."""
        return sum(each.overlap for each in self.found) / len(self.found) if self.found else 0.0
