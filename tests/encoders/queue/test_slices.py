"""How requests are cut, and in what order their slices are taken."""

from __future__ import annotations

import asyncio

import numpy as np

from embedkit.encoders.queue.slices import SLICE_ITEMS, Request, Waiting, cut
from embedkit.runtime.options import EncodeOptions


def request(lengths: list[int], *, longest: int = 100, most: int = 1000, role: str = "default") -> Request:
    made = Request([f"{n}" for n in lengths], EncodeOptions(role), asyncio.Future(loop=asyncio.new_event_loop()), 0.0)
    cut(made, np.array(lengths), longest, most)
    return made


def test_slices_hold_each_item_once_and_none_is_too_large() -> None:
    lengths = np.random.default_rng(0).integers(1, 300, 1000).tolist()
    made = request(lengths)
    assert sorted(np.concatenate([one.places for one in made.slices])) == list(range(1000))
    for one in made.slices:
        work = [min(lengths[place], 100) for place in one.places]
        assert one.work == sum(work) <= 1000
        assert one.tokens == sum(lengths[place] for place in one.places)
        assert len(one.places) <= SLICE_ITEMS
    widths = [max(min(lengths[place], 100) for place in one.places) for one in made.slices]
    assert widths == sorted(widths, reverse=True)


def test_what_fits_is_one_slice_in_its_order() -> None:
    assert [list(one.places) for one in request([5, 90, 7]).slices] == [[0, 1, 2]]


def test_an_item_that_is_too_large_alone_has_a_slice_to_itself() -> None:
    made = request([2000, 3, 2000], longest=5000)
    assert [list(one.places) for one in made.slices] == [[0], [2], [1]]


def test_slices_are_taken_in_turn_and_only_with_their_like() -> None:
    waiting = Waiting()
    large, small, other = request([10] * 200), request([10]), request([10], role="query")
    for one in (large, small, other):
        waiting.add(one)
    assert (waiting.items, waiting.tokens, len(waiting)) == (202, 2020, 3)
    group = waiting.take(1000, 1000)
    assert [(one.request, len(one.places)) for one in group] == [(large, 64), (small, 1)]
    assert waiting.all() == [other, large]
    assert [one.request for one in waiting.take(1000, 1000)] == [other]
    assert [one.request for one in waiting.take(1000, 1)] == [large], "a slice is taken even if it alone is above"
    waiting.forget(large)
    waiting.forget(large)
    assert (waiting.items, waiting.tokens, len(waiting)) == (0, 0, 0)


def test_a_group_ends_with_its_share_or_the_most_work() -> None:
    waiting = Waiting()
    for _ in range(10):
        waiting.add(request([50, 50]))
    assert len(waiting.take(5, 10_000)) == 3
    assert len(waiting.take(100, 350)) == 3
