"""Where a chunk comes from is told by its id and its metadata together."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedkit.ingestion.chunking.places import Place, chunk_id, place_of

IDS = st.text(st.sampled_from("a#1"), min_size=1, max_size=6)


@given(IDS, st.integers(0, 20), st.integers(1, 20))
def test_a_chunk_tells_its_place(source, number, beyond):
    count = number + beyond
    found = place_of(chunk_id(source, number), {"source": source, "chunk": number, "chunks": count, "other": 1})
    assert found == Place(source, number, count)


@given(st.tuples(IDS, st.integers(0, 30)), st.tuples(IDS, st.integers(0, 30)))
def test_no_two_chunks_share_an_id(a, b):
    assert (chunk_id(*a) == chunk_id(*b)) == (a == b)


@pytest.mark.parametrize(
    ("row_id", "metadata"),
    [
        ("a#0", {}),
        ("a#0", {"source": "a", "chunk": 0}),
        ("a#0", {"source": "a", "chunk": 0, "chunks": 0}),
        ("a#1", {"source": "a", "chunk": 0, "chunks": 2}),
        ("a#2", {"source": "a", "chunk": 2, "chunks": 2}),
        ("a#-1", {"source": "a", "chunk": -1, "chunks": 2}),
        ("b#0", {"source": "a", "chunk": 0, "chunks": 2}),
        ("a#True", {"source": "a", "chunk": True, "chunks": 2}),
        ("a#0", {"source": "a", "chunk": 0.0, "chunks": 2}),
        ("1#0", {"source": 1, "chunk": 0, "chunks": 2}),
        ("a", {"source": "a", "chunk": None, "chunks": 1}),
    ],
)
def test_any_other_row_is_no_chunk(row_id, metadata):
    assert place_of(row_id, metadata) is None
