"""Filters that a store cannot answer, finished exactly above it.

The store is asked for the rows that satisfy a weaker filter, made of the parts that it can answer; each of these is then
compared with the whole filter. Nothing is lost, and the price is that those rows are read.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any, Protocol

import numpy as np

from embedkit.records.documents import Hit, Page, Record
from embedkit.records.filters import ORDERINGS, Combine, Compare, F, Filter, Not, depth, push_down_not
from embedkit.records.metadata import filterable
from embedkit.stores.contract import Capabilities, Collection

_FIRST, _GROWTH = 4, 4
_PAGE = 1000
MOST_HITS = 2**31 - 1
"""No more rows are asked for at once: no collection has as many, and clients count in 32 or 64 bits."""
_EXACT = 2**53
"""Up to here float64 has every integer."""


def answers(caps: Capabilities, expression: Filter) -> bool:
    """Whether a store of these capabilities answers the whole expression itself."""
    leaves = list(expression.leaves())
    return (
        expression.ops() <= caps.filter_ops
        and all(_orders(caps, leaf) for leaf in leaves)
        and _within(caps.max_comparisons, len(leaves))
        and _within(caps.max_filter_values, sum(map(_values, leaves)))
        and (caps.max_filter_depth is None or depth(expression) <= caps.max_filter_depth)
    )


def _within(most: int | None, found: int) -> bool:
    return most is None or found <= most


def _values(leaf: Compare) -> int:
    return len(leaf.value) if isinstance(leaf.value, tuple) else 1


def _orders(caps: Capabilities, leaf: Compare) -> bool:
    if leaf.op not in ORDERINGS:
        return True
    if isinstance(leaf.value, str):
        return caps.orders_text
    return caps.orders_integers or not _rounded(leaf)


def _rounded(leaf: Compare) -> bool:
    return isinstance(leaf.value, int | float) and abs(leaf.value) >= _EXACT


def pushed_down(caps: Capabilities, expression: Filter) -> Filter | None:
    """A filter that the store can answer and that holds wherever ``expression`` does; None holds everywhere."""
    return _pushed_down(caps, push_down_not(expression))


def _pushed_down(caps: Capabilities, expression: Filter) -> Filter | None:
    if isinstance(expression, Compare | Not) and answers(caps, expression):
        return expression
    if isinstance(expression, Compare) and expression.op in ORDERINGS and _rounded(expression):
        return _widened(caps, expression)
    if isinstance(expression, Compare | Not):
        return None
    assert isinstance(expression, Combine)
    parts = [_pushed_down(caps, part) for part in expression.parts]
    kept = [part for part in parts if part is not None]
    if not kept or (expression.op == "or" and len(kept) < len(parts)):
        return None
    found = kept[0] if len(kept) == 1 else Combine(expression.op, tuple(kept))
    if answers(caps, found):
        return found
    return _fewer(caps, kept) if expression.op == "and" else None


def _fewer(caps: Capabilities, parts: list[Filter]) -> Filter | None:
    """The first half of the parts, or the half of that, that a store takes together."""
    while len(parts) > 1:
        parts = parts[: len(parts) // 2]
        found = parts[0] if len(parts) == 1 else Combine("and", tuple(parts))
        if answers(caps, found):
            return found
    return None


def _widened(caps: Capabilities, leaf: Compare) -> Filter | None:
    """Of an order the next float64 beyond, which holds for whatever the store has rounded."""
    assert isinstance(leaf.value, int | float)
    below = leaf.op in ("<", "<=")
    widened = math.nextafter(leaf.value, math.inf if below else -math.inf)
    if math.isinf(widened):
        return None
    found = F(leaf.field) <= widened if below else F(leaf.field) >= widened
    return found if found.ops() <= caps.filter_ops else None


class Ask(Protocol):
    """A collection's search by one kind of vectors."""

    def __call__(self, vectors: Any, k: int, *, filter: Filter | None = None) -> list[list[Hit]]:
        """The ``k`` nearest rows of each vector."""


class NoRows:
    """A filter that no row satisfies; the store is not asked."""

    def query(self, ask: Ask, vectors: Any, k: int) -> list[list[Hit]]:
        """No hits for each vector."""
        return [[] for _ in range(len(vectors))]

    def scan(self, cursor: str | None, limit: int) -> Page:
        """No rows."""
        return Page([])

    def count(self) -> int:
        """None."""
        return 0

    def ids(self) -> list[str]:
        """No ids."""
        return []


@dataclass(frozen=True, slots=True)
class PostFiltered:
    """One filter over one collection, whose store answers only ``weak``."""

    inner: Collection
    whole: Filter
    weak: Filter | None

    def query(self, ask: Ask, vectors: Any, k: int) -> list[list[Hit]]:
        """The ``k`` nearest rows of each vector (of any kind) by the collection's method ``ask``."""
        return filled(ask, vectors, k, filter=self.weak, first=_FIRST * k, keep=self._satisfies)

    def scan(self, cursor: str | None, limit: int) -> Page:
        """The next rows that satisfy the filter, at least one of them unless the scan is at its end."""
        while True:
            page = self.inner.scan(filter=self.weak, cursor=cursor, limit=limit)
            records = [record for record in page.records if self._satisfies(record)]
            if records or page.cursor is None:
                return Page(records, page.cursor)
            cursor = page.cursor

    def count(self) -> int:
        """The number of rows that satisfy the filter."""
        return sum(1 for _ in self._records())

    def ids(self) -> list[str]:
        """The ids of the rows that satisfy the filter."""
        return [record.id for record in self._records()]

    def _satisfies(self, row: Hit | Record) -> bool:
        return self.whole.matches(filterable(row.metadata))

    def _records(self) -> Iterator[Record]:
        return chain.from_iterable(pages(lambda cursor: self.scan(cursor, _PAGE)))


def filled(
    ask: Ask, vectors: Any, k: int, *, filter: Filter | None, first: int, keep: Callable[[Hit], bool]
) -> list[list[Hit]]:
    """The ``k`` nearest rows of each vector of which ``keep`` holds: ``first`` candidates are asked for, then more and more,
    until ``k`` of them are kept or the store has no more."""
    out: list[list[Hit]] = [[] for _ in range(len(vectors))]
    open_ = list(range(len(vectors)))
    wanted = min(first, MOST_HITS)
    while open_:
        found = ask(vectors[np.array(open_)], wanted, filter=filter)
        for i, hits in zip(open_, found, strict=True):
            out[i] = [hit for hit in hits if keep(hit)][:k]
        open_ = [i for i, hits in zip(open_, found, strict=True) if len(out[i]) < k and len(hits) == wanted]
        wanted = min(wanted * _GROWTH, MOST_HITS)
    return out


def pages(scan: Callable[[str | None], Page]) -> Iterator[list[Record]]:
    """The records of all pages that ``scan`` gives, from no cursor to its end; the next is asked for when it is wanted."""
    cursor: str | None = None
    while True:
        page = scan(cursor)
        yield page.records
        cursor = page.cursor
        if cursor is None:
            return
