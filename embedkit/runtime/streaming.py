"""Any number of texts in bounded memory: windows of texts, computed while the next one is read, given back in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import chain
from typing import TypeAlias

import numpy as np

from embedkit.errors import InputError
from embedkit.runtime.frontends.template import Template, Text
from embedkit.vectors.values import placed

from .tower import Computed, NoVector, Rows

WINDOW_TEXTS = 2048
WINDOW_CHARACTERS = 1 << 21
"""A window ends with the text that reaches either."""

Part: TypeAlias = "tuple[Rows, Future[Computed]]"
"""Some rows of what was handed in, and what becomes of them."""

Submit: TypeAlias = Callable[[list[Text]], list[Part]]
"""Begins to compute items that are all different; each row is in exactly one part."""


@dataclass(slots=True)
class _Window:
    before: int
    inverse: Rows
    distinct: int
    parts: list[Part]


def stream(texts: Iterable[Text], template: Template, submit: Submit) -> Iterator[Computed]:
    """What ``submit`` makes of each window of texts, in their order; equal texts of a window are computed once.

    While a window is computed the next is read and handed in. Raises `InputError` that names the text by its number in
    the whole.
    """
    running: deque[_Window] = deque()
    total = 0
    try:
        for window in chain(windows(texts, template), (None, None)):
            if window is not None:
                items, inverse = distinct(window)
                try:
                    parts = submit(items)
                except NoVector as error:
                    raise _input_error(error, total, inverse) from None
                running.append(_Window(total, inverse, len(items), parts))
                total += len(window)
            if running and (window is None or len(running) == 2):
                yield _collect(running.popleft())
    finally:
        for left in running:
            for _, future in left.parts:
                future.cancel()


def windows(texts: Iterable[Text], template: Template) -> Iterator[list[Text]]:
    """Lists of consecutive checked texts, bounded in number and in characters."""
    window: list[Text] = []
    characters = 0
    for i, text in enumerate(texts):
        window.append(template.check(text, f"text {i}"))
        characters += size(text)
        if len(window) == WINDOW_TEXTS or characters >= WINDOW_CHARACTERS:
            yield window
            window, characters = [], 0
    if window:
        yield window


def size(item: Text) -> int:
    """Characters of an item."""
    return len(item) if isinstance(item, str) else sum(map(len, item.values()))


def distinct(items: list[Text]) -> tuple[list[Text], Rows]:
    """Each different item once, in the order of first appearance, and (n,) the place of every item among them."""
    places: dict[object, int] = {}
    found: list[Text] = []
    inverse = np.empty(len(items), dtype=np.intp)
    for i, item in enumerate(items):
        key = item if isinstance(item, str) else frozenset(item.items())
        place = places.setdefault(key, len(found))
        if place == len(found):
            found.append(item)
        inverse[i] = place
    return found, inverse


def _collect(window: _Window) -> Computed:
    parts: list[tuple[Rows, Computed]] = []
    truncated = np.empty(window.distinct, dtype=np.bool_)
    tokens = slots = 0
    failures: list[NoVector] = []
    for i, (rows, future) in enumerate(window.parts):
        try:
            part = future.result()
        except NoVector as error:
            failures.append(NoVector(int(rows[error.number]), error.reason))
            continue
        except BaseException:
            for _, left in window.parts[i + 1 :]:
                left.cancel()
            raise
        parts.append((rows, part))
        truncated[rows] = part.truncated
        tokens, slots = tokens + part.tokens, slots + part.slots
    if failures:
        raise _input_error(min(failures, key=lambda error: error.number), window.before, window.inverse)
    values = {
        name: placed([(rows, part.values[name]) for rows, part in parts], window.distinct)
        for name in parts[0][1].values
    }
    if window.distinct < len(window.inverse):
        values = {name: found[window.inverse] for name, found in values.items()}
        truncated = truncated[window.inverse]
    return Computed(values, truncated, tokens, slots)


def _input_error(error: NoVector, before: int, inverse: Rows) -> InputError:
    return InputError(f"text {before + int(np.argmax(inverse == error.number))}: {error.reason}")
