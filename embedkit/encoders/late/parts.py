"""How a text that is longer than the model is read: in parts that overlap, each of which the model reads whole."""

from __future__ import annotations

import bisect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate

from embedkit.errors import InputError
from embedkit.runtime.frontends.text.spans import Span


@dataclass(frozen=True, slots=True)
class Stretch:
    """Characters of a text, from ``start`` to ``end``, that are read together, and the numbers of the spans that are pooled there."""

    start: int
    end: int
    spans: range


def parts_of(
    spans: Sequence[Span],
    whole: Span,
    count: Callable[[int, int], int],
    *,
    most: int,
    shared: int,
    own: int = 0,
) -> list[Stretch]:
    """The parts in which the characters ``whole`` of a text are read: all of them at once where that are at most ``most`` tokens by
    ``count`` (of the characters from one to another, with ``own`` of the model's), else from the first one of ``spans`` to the last one,
    as many together as that are.

    A part begins with the last spans of the one before, of about ``shared`` tokens at most, so that those at its border are read with
    what stands on both sides of them: of the spans in two parts the first half is pooled in the one and the others in the other.
    ``spans`` are in order. Raises `InputError` where one alone is too long.
    """
    if not spans:
        return []
    if count(*whole) <= most:
        return [Stretch(*whole, range(len(spans)))]
    before = [spans[0][0], *(end for _, end in spans[:-1])]
    sizes = [max(0, count(last, end) - own) for (_, end), last in zip(spans, before, strict=True)]
    total = [0, *accumulate(sizes)]
    """Tokens up to the end of each span, nearly: tokens may run over where spans meet."""

    def reach(first: int, last: int) -> Span:
        return spans[first][0], spans[last][1]

    def first_fitting(first: int, last: int) -> int:
        """The first span from which on all up to the last one are read together."""
        for number in range(first, last + 1):
            if count(*reach(number, last)) <= most:
                return number
        raise InputError(f"span {last} has more tokens than the {most} that the model reads; choose shorter ones")

    made: list[Stretch] = []
    first, new, done = first_fitting(0, 0), 0, 0
    while True:
        last = max(new, bisect.bisect_right(total, total[first] + most - own) - 2)
        while last > new and count(*reach(first, last)) > most:
            last -= 1
        if last == len(spans) - 1:
            made.append(Stretch(*reach(first, last), range(done, len(spans))))
            return made
        again = last + 1  # the first span of the next part: as far back as the overlap goes
        while again - 1 > first and total[last + 1] - total[again - 1] <= shared:
            again -= 1
        again = first_fitting(again, last + 1)
        end = again + (last + 2 - again) // 2
        made.append(Stretch(*reach(first, last), range(done, end)))
        first, new, done = again, last + 1, end
