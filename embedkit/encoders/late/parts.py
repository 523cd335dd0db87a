"""How a text that is longer than the model is read: in parts that overlap, each of which the model reads whole."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from embedkit.errors import InputError
from embedkit.runtime.frontends.text.spans import Span


@dataclass(frozen=True, slots=True)
class Stretch:
    """Characters of a text, from ``start`` to ``end``, that are read together, and the numbers of the spans that are pooled there."""

    start: int
    end: int
    spans: range


def parts_of(
    spans: Sequence[Span], whole: Span, count: Callable[[int, int], int], *, most: int, shared: int
) -> list[Stretch]:
    """The parts in which the characters ``whole`` of a text are read: all of them at once where that are at most ``most`` tokens by
    ``count`` (of the characters from one to another), else as many ``spans`` together as that are.

    A part begins with the last spans of the one before, of at most ``shared`` tokens, so that those at its border are read with what
    stands on both sides of them: of the spans in two parts the first half is pooled in the one and the others in the other. ``spans``
    are in order. Raises `InputError` where one alone is too long.
    """
    if not spans:
        return []
    if count(*whole) <= most:
        return [Stretch(*whole, range(len(spans)))]

    def reach(first: int, last: int) -> Span:
        begin = whole[0] if first == 0 else spans[first][0]
        return begin, whole[1] if last == len(spans) - 1 else spans[last][1]

    def fits(first: int, last: int) -> bool:
        return count(*reach(first, last)) <= most

    made: list[Stretch] = []
    first = new = 0
    while True:
        if not fits(first, new):
            raise InputError(f"span {new} has more tokens than the {most} that the model reads; choose shorter ones")
        last = _last(new, len(spans), lambda end, first=first: fits(first, end))  # type: ignore[misc]
        start, end = reach(first, last)
        if last == len(spans) - 1:
            made.append(Stretch(start, end, range(made[-1].spans.stop if made else 0, len(spans))))
            return made
        again = last + 1  # the first span of the next part: as far back as the overlap goes
        while again - 1 > first and count(spans[again - 1][0], spans[last][1]) <= shared and fits(again - 1, last + 1):
            again -= 1
        own = again + (last + 1 - again + 1) // 2
        made.append(Stretch(start, end, range(made[-1].spans.stop if made else 0, own)))
        first, new = again, last + 1


def _last(low: int, high: int, good: Callable[[int], bool]) -> int:
    """The last number below ``high`` for which all seem ``good``, as ``low`` is: twice as far each time, then by halves."""
    step = 1
    while low + step < high and good(low + step):
        low, step = low + step, 2 * step
    high = min(high, low + step)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if good(middle) else (low, middle)
    return low
