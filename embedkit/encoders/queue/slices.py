"""Requests, cut into slices of which each is a short piece of work, and the order in which these are taken."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from embedkit.runtime.frontends.base import Item, Rows
from embedkit.runtime.options import EncodeOptions
from embedkit.runtime.outputs import Answer

SLICE_ITEMS = 64
"""The most items of a slice."""


@dataclass(frozen=True, slots=True, eq=False)
class Slice:
    """Some items of a request: their ``places`` in it, the tokens that they hold in memory and those that are computed, both
    as they are estimated."""

    request: Request
    places: Rows
    tokens: int
    work: int

    @property
    def items(self) -> list[Item]:
        """The items."""
        return [self.request.items[place] for place in self.places]


@dataclass(slots=True, eq=False)
class Request:
    """Checked items that one caller waits for. ``slices`` are those that nobody has begun, ``parts`` what was made of others."""

    items: list[Item]
    options: EncodeOptions
    future: asyncio.Future[Answer]
    arrived: float
    slices: deque[Slice] = field(default_factory=deque)
    parts: list[tuple[Rows, Answer]] = field(default_factory=list)
    begun: float | None = None

    @property
    def whole(self) -> bool:
        """Whether all is made."""
        return sum(len(places) for places, _ in self.parts) == len(self.items)


def cut(request: Request, tokens: npt.NDArray[np.int64], longest: int, most: int) -> None:
    """Fill the ``slices`` of a request whose items hold so many ``tokens`` each (n,): at most `SLICE_ITEMS` items and, of what is
    read of them (``longest`` each), ``most`` tokens, unless an item alone has more. Items of one length come together, which
    spares padding."""
    work = np.minimum(tokens, longest)
    order = np.arange(len(work))
    if len(work) > SLICE_ITEMS or work.sum() > most:
        order = np.argsort(-work, kind="stable")
    start = total = 0
    for i, place in enumerate(order):
        if i > start and (i - start == SLICE_ITEMS or total + work[place] > most):
            request.slices.append(_slice(request, order[start:i], tokens, work))
            start, total = i, 0
        total += int(work[place])
    request.slices.append(_slice(request, order[start:], tokens, work))


def _slice(request: Request, places: Rows, tokens: npt.NDArray[np.int64], work: npt.NDArray[np.int64]) -> Slice:
    return Slice(request, places, int(tokens[places].sum()), int(work[places].sum()))


class Waiting:
    """Slices that nobody has begun, by request in the order of their turn, with the ``items`` and ``tokens`` of all."""

    def __init__(self) -> None:
        self._requests: dict[Request, None] = {}
        self.items = self.tokens = 0

    def __len__(self) -> int:
        return len(self._requests)

    def add(self, request: Request) -> None:
        """Let the slices of a request wait."""
        self._requests[request] = None
        self._count(request.slices, 1)

    def forget(self, request: Request) -> None:
        """Take away what waits of a request."""
        if request in self._requests:
            del self._requests[request]
            self._count(request.slices, -1)
            request.slices.clear()

    def all(self) -> list[Request]:
        """The requests that wait, the next first."""
        return list(self._requests)

    def take(self, share: int, most: int) -> list[Slice]:
        """The next slices that can be encoded in one call: of each request at most one, together ``share`` items or little
        more, and at most ``most`` tokens of work unless the first alone has more. What is left of a request waits behind the
        others, so that a large one does not hold up a small one for longer than a slice."""
        options = next(iter(self._requests)).options
        group: list[Slice] = []
        items = work = 0
        for request in list(self._requests):
            if request.options != options:
                continue
            if group and work + request.slices[0].work > most:
                break
            taken = request.slices.popleft()
            self._count([taken], -1)
            del self._requests[request]
            if request.slices:
                self._requests[request] = None
            group.append(taken)
            items, work = items + len(taken.places), work + taken.work
            if items >= share:
                break
        return group

    def _count(self, slices: Sequence[Slice] | deque[Slice], sign: int) -> None:
        for one in slices:
            self.items += sign * len(one.places)
            self.tokens += sign * one.tokens
