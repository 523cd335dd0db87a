"""A group of slices: each gets its own, whatever becomes of the others."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest

from embedkit import Encoder, InputError, WorkerError
from embedkit.encoders.queue.slices import Request, Slice
from embedkit.encoders.queue.work import encode_group, gathered
from embedkit.runtime.options import EncodeOptions
from embedkit.runtime.outputs import Answer


def request(items: list[str]) -> Request:
    return Request(items, EncodeOptions(), asyncio.Future(loop=asyncio.new_event_loop()), 1.0)


def whole(items: list[str]) -> Slice:
    return Slice(request(items), np.arange(len(items)), 0, 0)


class Fails(Encoder):
    """Fails for whatever holds the word poison, as a worker does that the text ends."""

    error: Exception

    def encode_counted(self, items: Any, options: EncodeOptions, *, on_bad: Any = None) -> Answer:
        if "poison" in items:
            raise self.error
        if "bad" in items:
            on_bad(items.index("bad"), "it is bad")
            items = [item for item in items if item != "bad"]
        return super().encode_counted(items, options, on_bad=on_bad)


@pytest.fixture
def failing(encoder: Encoder) -> Fails:
    made = Fails(encoder.loaded, on_truncate="ignore")
    made.error = WorkerError("ended")
    return made


def test_an_item_without_a_value_is_its_own_slices_error(failing: Fails) -> None:
    slices = [whole(["a", "b"]), whole(["c", "bad", "d"]), whole(["e"])]
    first, second, third = encode_group(failing, slices)
    assert isinstance(first, Answer)
    assert isinstance(third, Answer)
    assert np.array_equal(first.values, failing.encode(["a", "b"]))
    assert np.array_equal(third.values, failing.encode(["e"]))
    assert first.tokens.tolist() == [3, 3]
    assert isinstance(second, InputError)
    assert str(second) == "text 1: it is bad"


def test_the_place_is_that_in_the_request(failing: Fails) -> None:
    of_large = Slice(request(["x"] * 70 + ["bad"]), np.array([3, 70]), 0, 0)
    (found,) = encode_group(failing, [of_large])
    assert str(found) == "text 70: it is bad"


def test_what_fails_together_is_halved(failing: Fails) -> None:
    found = encode_group(failing, [whole(["a"]), whole(["poison"]), whole(["b"])])
    assert [type(one) for one in found] == [Answer, WorkerError, Answer]
    failing.error = ZeroDivisionError()
    found = encode_group(failing, [whole(["a"]), whole(["poison"])])
    assert found == [failing.error, failing.error], "what nobody foresaw is not tried again"


def test_parts_are_put_together_in_the_order_of_the_items(encoder: Encoder) -> None:
    texts = ["a", "bb", "ccc"]
    made = request(texts)
    made.begun = 3.0
    for places in ([2, 0], [1]):
        (answer,) = encode_group(encoder, [Slice(made, np.array(places), 0, 0)])
        assert isinstance(answer, Answer)
        made.parts.append((np.array(places), answer))
    assert made.whole
    found = gathered(made, 7.0)
    assert np.array_equal(found.values, encoder.encode(texts))
    assert found.tokens.tolist() == [3, 4, 5]
    assert (found.waited, found.computed) == (2.0, 4.0)
