"""Any number of items in bounded memory: windows of items, computed while the next one is read, given back in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
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


@dataclass(slots=True)
class _Window:
    before: int
    inverse: Rows
    distinct: int
    parts: list[PendingRows]


def stream(items: Iterable[object], modality: Modality, submit: Submit) -> Iterator[BatchResult]:
    """What ``submit`` makes of each window of items, in their order; equal items of a window are computed once.

    While a window is computed the next is read and handed in. Raises `InputError` that names the item by its number in
    the whole.
    """
    running: deque[_Window] = deque()
    total = 0
    try:
        for window in chain(windows(items, modality), (None, None)):
            if window is not None:
                different, inverse = window
                try:
                    parts = submit(different)
                except Unencodable as error:
                    raise _input_error(error, modality, total, inverse) from None
                running.append(_Window(total, inverse, len(different), parts))
                total += len(inverse)
            if running and (window is None or len(running) == 2):
                yield _collect(running.popleft(), modality)
    finally:
        for left in running:
            for _, future in left.parts:
                future.cancel()


def windows(items: Iterable[object], modality: Modality) -> Iterator[tuple[list[Item], Rows]]:
    """Consecutive items, checked, bounded in number and in cost: each different one once, in the order of first appearance,
    and (n,) the place of every item among them."""
    places: dict[object, int] = {}
    different: list[Item] = []
    inverse: list[int] = []
    cost = 0
    for i, item in enumerate(items_of("texts", items, "item", ordered=False)):
        checked = modality.check(item, f"{modality.noun} {i}")
        place = places.setdefault(modality.key(checked), len(different))
        if place == len(different):
            different.append(checked)
        inverse.append(place)
        cost += modality.cost(checked)
        if len(inverse) == WINDOW_ITEMS or cost >= WINDOW_COST:
            yield different, np.array(inverse, dtype=np.intp)
            places, different, inverse, cost = {}, [], [], 0
    if inverse:
        yield different, np.array(inverse, dtype=np.intp)


def _collect(window: _Window, modality: Modality) -> BatchResult:
    parts: list[tuple[Rows, BatchResult]] = []
    truncated = np.empty(window.distinct, dtype=np.bool_)
    tokens = slots = 0
    failures: list[Unencodable] = []
    for i, (rows, future) in enumerate(window.parts):
        try:
            part = future.result()
        except Unencodable as error:
            failures.append(Unencodable(int(rows[error.number]), error.reason))
            continue
        except BaseException:
            for _, left in window.parts[i + 1 :]:
                left.cancel()
            raise
        parts.append((rows, part))
        truncated[rows] = part.truncated
        tokens, slots = tokens + part.tokens, slots + part.slots
    if failures:
        raise _input_error(min(failures, key=lambda error: error.number), modality, window.before, window.inverse)
    values = {
        name: scatter([(rows, part.values[name]) for rows, part in parts], window.distinct)
        for name in parts[0][1].values
    }
    if window.distinct < len(window.inverse):
        values = {name: found[window.inverse] for name, found in values.items()}
        truncated = truncated[window.inverse]
    return BatchResult(values, truncated, tokens, slots)


def _input_error(error: Unencodable, modality: Modality, before: int, inverse: Rows) -> InputError:
    return InputError(f"{modality.noun} {before + int(np.argmax(inverse == error.number))}: {error.reason}")
