"""Every store answers as a dictionary does, whatever is done with it.

``EMBEDKIT_SEQUENCES`` is the number of sequences for each store, from ``EMBEDKIT_SEED`` on; some of their operations are another
process's where there are more than two.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers.differential.running import Place
from helpers.embedded import STORES, address

SEQUENCES = int(os.environ.get("EMBEDKIT_SEQUENCES", "2"))
OPERATIONS = 60


@pytest.fixture(params=STORES)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    with address(request.param, tmp_path) as url:
        found = Place(url)
        yield found
        found.close()


def test_a_store_answers_as_a_dictionary_does(place: Place, entry_points: None) -> None:
    first = int(os.environ.get("EMBEDKIT_SEED", "0"))
    elsewhere = SEQUENCES > 2 and not place.url.startswith("memory:")
    if report := place.search(range(first, first + SEQUENCES), OPERATIONS, elsewhere=elsewhere):
        pytest.fail(report, pytrace=False)
