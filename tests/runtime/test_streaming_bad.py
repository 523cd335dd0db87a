"""Items that have no value, where these are to be left out: no other is, and none is computed more often than its batch."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedkit import Encoder, InputError
from embedkit.bundle.manifest import Part, TextFrontend, Truncate
from embedkit.runtime.frontends.base import Unencodable
from embedkit.runtime.frontends.text.modality import TextModality
from embedkit.runtime.streaming import stream
from embedkit.runtime.tower import BatchResult

MODALITY = TextModality(
    TextFrontend(tokenizer="tokenizer.json", template=[Part(field="text")], truncate=Truncate(max=9)), []
)
KINDS = ["good", "fine", "late one", "late two", "early", 7]
"""Texts with a value, those found out in their batch, those before anything is computed, and what is no text."""


def value(item: str) -> BatchResult:
    return BatchResult({"dense": np.array([[len(item)]], np.float32)}, np.zeros(1, bool), 1, 1, np.ones(1, np.int64))


def submit_by(size: int, calls: list[int]) -> Any:
    """Computes batches of so many, as a loaded bundle does, and refuses items by their first word."""

    def submit(items: list[str]) -> list[tuple[Any, Future[BatchResult]]]:
        for i, item in enumerate(items):
            if item.startswith("early"):
                raise Unencodable(i, f"{item} at once")
        parts = []
        for start in range(0, len(items), size):
            part, future = items[start : start + size], Future[BatchResult]()
            calls.append(len(part))
            late = next((i for i, item in enumerate(part) if item.startswith("late")), None)
            if late is not None:
                future.set_exception(Unencodable(late, f"{part[late]} in its batch"))
            else:
                rows = np.concatenate([value(item).values["dense"] for item in part])
                future.set_result(
                    BatchResult(
                        {"dense": rows}, np.zeros(len(part), bool), len(part), len(part), np.ones(len(part), np.int64)
                    )
                )
            parts.append((np.arange(start, start + len(part)), future))
        return parts

    return submit


@settings(max_examples=150, deadline=None)
@given(items=st.lists(st.sampled_from(KINDS), max_size=12), size=st.integers(1, 5))
def test_each_item_has_its_value_or_its_reason(items: list[object], size: int) -> None:
    bad: dict[int, str] = {}
    found = [
        row for part in stream(items, MODALITY, submit_by(size, []), bad.__setitem__) for row in part.values["dense"]
    ]
    good = [item for item in items if isinstance(item, str) and not item.startswith(("late", "early"))]
    assert [float(row[0]) for row in found] == [float(len(item)) for item in good]
    assert sorted(bad) == [i for i, item in enumerate(items) if item not in ("good", "fine")]
    for number, reason in bad.items():
        item = items[number]
        wanted = "expected a string" if item == 7 else f"{item} at once" if item == "early" else f"{item} in its batch"
        assert wanted in reason
        assert not reason.startswith("text ")


def test_one_costs_its_batch(encoder: Encoder) -> None:
    calls: list[int] = []
    items = [f"good {i}" for i in range(40)]
    items[13] = "late 13"
    bad: dict[int, str] = {}
    parts = list(stream(items, MODALITY, submit_by(8, calls), bad.__setitem__))
    assert calls == [8, 8, 8, 8, 8, 7]
    assert sum(len(part.values["dense"]) for part in parts) == 39
    assert list(bad) == [13]


def test_without_it_the_first_is_an_error() -> None:
    items = ["good", "late two", "late one"]
    with pytest.raises(InputError, match="text 1: late two in its batch"):
        list(stream(items, MODALITY, submit_by(1, [])))


def test_of_an_encoder(encoder: Encoder) -> None:
    bad: dict[int, str] = {}
    found = encoder.encode_outputs(["one", 7, "two", None, "one"], on_bad=bad.__setitem__)  # type: ignore[list-item]
    assert np.array_equal(found["dense"], encoder.encode(["one", "two", "one"]))
    assert sorted(bad) == [1, 3]
    assert encoder.encode_outputs([7], on_bad=bad.__setitem__)["dense"].shape == (0, encoder.dim)  # type: ignore[list-item]
