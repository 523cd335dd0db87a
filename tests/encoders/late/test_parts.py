"""In which parts a long text is read, by brute force."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedkit import InputError
from embedkit.encoders.late.parts import Stretch, parts_of


def made(sizes: list[int], gap: int = 1) -> list[tuple[int, int]]:
    spans, place = [], 0
    for size in sizes:
        spans.append((place, place + size))
        place += size + gap
    return spans


def length(start: int, end: int) -> int:
    return end - start


def test_what_fits_is_one_part() -> None:
    spans = made([3, 3, 3])
    assert parts_of(spans, (0, 11), length, most=11, shared=3, own=0) == [Stretch(0, 11, range(3))]
    assert parts_of([], (0, 0), length, most=11, shared=3) == []


def test_a_part_begins_with_the_end_of_the_one_before() -> None:
    spans = made([3] * 6)
    assert parts_of(spans, (0, 23), length, most=12, shared=4) == [
        Stretch(0, 11, range(3)),
        Stretch(8, 19, range(3, 5)),
        Stretch(16, 23, range(5, 6)),
    ]
    assert parts_of(spans, (0, 23), length, most=12, shared=3) == [
        Stretch(0, 11, range(3)),
        Stretch(12, 23, range(3, 6)),
    ]


def test_a_span_that_is_too_long_is_named() -> None:
    with pytest.raises(InputError, match="span 1 has more tokens than the 5"):
        parts_of(made([3, 6, 3]), (0, 14), length, most=5, shared=1)


@given(
    st.lists(st.integers(1, 20), min_size=1, max_size=60),
    st.integers(20, 90),
    st.integers(0, 40),
    st.integers(0, 5),
    st.integers(0, 2),
)
def test_every_span_is_in_one_part_that_the_model_reads(
    sizes: list[int], most: int, shared: int, outer: int, gap: int
) -> None:
    spans = made(sizes, gap)
    whole = 0, spans[-1][1]
    parts = parts_of(spans, whole, length, most=most + outer, shared=shared)
    assert [number for part in parts for number in part.spans] == [*range(len(spans))]
    for part in parts:
        assert part.end - part.start <= most + outer
        assert len(part.spans)
        for number in part.spans:
            assert part.start <= spans[number][0] < spans[number][1] <= part.end
    for one, other in pairwise(parts):
        assert one.start < other.start
        assert one.end < other.end
        assert sum(end - start for start, end in spans if other.start <= start and end <= one.end) <= shared
