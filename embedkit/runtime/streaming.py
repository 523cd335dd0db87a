"""Any number of items in bounded memory: windows of items, computed while the next one is read, given back in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import TypeAlias

import numpy as np

from embedkit.checks import items_of
from embedkit.errors import InputError
from embedkit.vectors.values import scatter

from .frontends.base import Item, Modality, Rows, Unencodable
from .loaded import PendingRows
from .tower import BatchResult

WINDOW_ITEMS = 2048
WINDOW_COST = 1 << 21
"""A window ends with the item that reaches either: characters of text, or what takes as much memory."""

Submit: TypeAlias = Callable[[list[Item]], list[PendingRows]]
"""Begins to compute items that are all different; each row is in exactly one part."""

OnBad: TypeAlias = Callable[[int, str], None]
"""Is told the number of an item that has no value, and why."""


@dataclass(slots=True)
class _Window:
    """Different items that are computed, the number of each given item and (n,) its place among them; ``bad`` are the places
    that have no values, with the reason of each."""

    items: list[Item]
    numbers: list[int]
    inverse: Rows
    parts: deque[PendingRows] = field(default_factory=deque)
    bad: dict[int, str] = field(default_factory=dict)


def stream(
    items: Iterable[object], modality: Modality, submit: Submit, on_bad: OnBad | None = None
) -> Iterator[BatchResult]:
    """What ``submit`` makes of each window of items, in their order; equal items of a window are computed once.

    While a window is computed the next is read and handed in. Raises `InputError` that names the item by its number in
    the whole; where ``on_bad`` is given it is told instead, the item is left out, and the others of its batch are computed
    again without it.
    """
    running: deque[_Window] = deque()
    try:
        for window in chain(_windows(items, modality, on_bad), (None, None)):
            if window is not None:
                _submit(window, range(len(window.items)), submit, modality, on_bad)
                running.append(window)
            if running and (window is None or len(running) == 2):
                found = _collect(running.popleft(), modality, submit, on_bad)
                if found is not None:
                    yield found
    finally:
        for left in running:
            for _, future in left.parts:
                future.cancel()


def windows(items: Iterable[object], modality: Modality) -> Iterator[tuple[list[Item], Rows]]:
    """Consecutive items, checked, bounded in number and in cost: each different one once, in the order of first appearance,
    and (n,) the place of every item among them."""
    return ((window.items, window.inverse) for window in _windows(items, modality, None))


def _windows(items: Iterable[object], modality: Modality, on_bad: OnBad | None) -> Iterator[_Window]:
    places: dict[object, int] = {}
    different: list[Item] = []
    inverse: list[int] = []
    numbers: list[int] = []
    cost = 0
    for i, item in enumerate(items_of("texts", items, "item", ordered=False)):
        try:
            checked = modality.check(item, f"{modality.noun} {i}")
        except InputError as error:
            if on_bad is None:
                raise
            on_bad(i, str(error).removeprefix(f"{modality.noun} {i}: "))
            continue
        place = places.setdefault(modality.key(checked), len(different))
        if place == len(different):
            different.append(checked)
        inverse.append(place)
        numbers.append(i)
        cost += modality.cost(checked)
        if len(inverse) == WINDOW_ITEMS or cost >= WINDOW_COST:
            yield _Window(different, numbers, np.array(inverse, dtype=np.intp))
            places, different, inverse, numbers, cost = {}, [], [], [], 0
    if inverse:
        yield _Window(different, numbers, np.array(inverse, dtype=np.intp))


def _submit(window: _Window, places: Iterable[int], submit: Submit, modality: Modality, on_bad: OnBad | None) -> None:
    """Begin to compute the items at some places of a window, without those of which it is known at once that they have no
    values."""
    left = np.array(list(places), dtype=np.intp)
    while len(left):
        try:
            parts = submit([window.items[place] for place in left])
        except Unencodable as error:
            if on_bad is None:
                raise _input_error(error, modality, window) from None
            window.bad[int(left[error.number])] = error.reason
            left = np.delete(left, error.number)
            continue
        window.parts.extend((left[rows], future) for rows, future in parts)
        return


def _collect(window: _Window, modality: Modality, submit: Submit, on_bad: OnBad | None) -> BatchResult | None:
    """The values of a window's items, in their order; None where none has any."""
    parts: list[tuple[Rows, BatchResult]] = []
    truncated = np.zeros(len(window.items), dtype=np.bool_)
    counts = np.zeros(len(window.items), dtype=np.int64)
    tokens, slots, preparing = 0, 0, 0.0
    failures: list[Unencodable] = []
    while window.parts:
        rows, future = window.parts.popleft()
        try:
            part = future.result()
        except Unencodable as error:
            if on_bad is None:
                failures.append(Unencodable(int(rows[error.number]), error.reason))
            else:
                window.bad[int(rows[error.number])] = error.reason
                _submit(window, np.delete(rows, error.number).tolist(), submit, modality, on_bad)
            continue
        except BaseException:
            for _, left in window.parts:
                left.cancel()
            raise
        parts.append((rows, part))
        truncated[rows], counts[rows] = part.truncated, part.counts
        tokens, slots, preparing = tokens + part.tokens, slots + part.slots, preparing + part.preparing
    if failures:
        raise _input_error(min(failures, key=lambda error: error.number), modality, window)
    kept = np.array([place not in window.bad for place in range(len(window.items))], dtype=np.bool_)
    if on_bad is not None and window.bad:
        for number, place in zip(window.numbers, window.inverse.tolist(), strict=True):
            if place in window.bad:
                on_bad(number, window.bad[place])
    if not kept.any():
        return None
    packed = np.cumsum(kept) - 1
    values = {
        name: scatter([(packed[rows], part.values[name]) for rows, part in parts], int(kept.sum()))
        for name in parts[0][1].values
    }
    good = window.inverse[kept[window.inverse]]
    if len(good) > len(window.items) or not np.array_equal(packed[good], np.arange(len(good))):
        values = {name: found[packed[good]] for name, found in values.items()}
    return BatchResult(values, truncated[good], tokens, slots, counts[good], preparing)


def _input_error(error: Unencodable, modality: Modality, window: _Window) -> InputError:
    number = window.numbers[int(np.argmax(window.inverse == error.number))]
    return InputError(f"{modality.noun} {number}: {error.reason}")
