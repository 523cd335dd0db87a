"""The samples of the suite are what they say."""

from __future__ import annotations

import math
import random
from datetime import date, datetime

import numpy as np
import pytest

from embedkit.records.filters import OPS, F
from embedkit.records.metadata import content_hash, dump_metadata, load_metadata
from embedkit.testing.samples import (
    FILTER_ROWS,
    ODD_IDS,
    ODD_METADATA,
    ODD_NAMES,
    comparison,
    exact,
    expected_ids,
    random_filter,
    text_batch,
    unit_vectors,
)


def test_ids_and_names_are_distinct() -> None:
    for listed in (ODD_IDS, ODD_NAMES):
        assert len(set(listed)) == len(listed)
        assert all(text and "\0" not in text for text in listed)


def test_metadata_differs_exactly_and_comes_back() -> None:
    assert len({exact(metadata) for metadata in ODD_METADATA}) == len(ODD_METADATA)
    for metadata in ODD_METADATA:
        assert exact(load_metadata(dump_metadata(metadata))) == exact(metadata)


@pytest.mark.parametrize(
    ("one", "other"),
    [(1, 1.0), (0.0, -0.0), (1, True), ("1", 1), (datetime(2024, 1, 1), date(2024, 1, 1)), ([1], [1, 1])],
)
def test_exact_tells_apart_what_equality_may_not(one: object, other: object) -> None:
    assert exact({"x": one}) != exact({"x": other})


def test_exact_equates_what_is_the_same() -> None:
    assert exact({"a": math.nan, "b": [1]}) == exact({"b": [1], "a": float("nan")})


def test_drawn_filters_use_every_operator_and_are_the_same_for_a_seed() -> None:
    drawn = [random_filter(random.Random(seed)) for seed in range(300)]
    assert frozenset().union(*(one.ops() for one in drawn)) == OPS
    assert drawn == [random_filter(random.Random(seed)) for seed in range(300)]


def test_expected_ids_by_hand() -> None:
    found = expected_ids(comparison("y", "==", "a"))
    assert found == {str(i) for i, row in enumerate(FILTER_ROWS) if row.get("y") == "a"} != set()
    assert expected_ids(~F("y").exists()) == {str(i) for i, row in enumerate(FILTER_ROWS) if "y" not in row}


def test_rows_are_as_embedkit_hands_them_on() -> None:
    batch = text_batch(["a", "b"], seed=3)
    assert batch.hashes == [content_hash(text, row) for text, row in zip(batch.texts, batch.metadata, strict=True)]
    assert np.allclose(np.linalg.norm(unit_vectors(50, dim=7), axis=1), 1, atol=1e-6)
    assert np.array_equal(batch.vectors, unit_vectors(2, seed=3))
