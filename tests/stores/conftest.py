"""A store that fails as it is told."""

from __future__ import annotations

import pytest

from embedkit.stores.guarded import GuardedStore
from helpers.faulty_store import FaultyStore


@pytest.fixture
def faulty() -> FaultyStore:
    return FaultyStore()


@pytest.fixture
def store(faulty: FaultyStore) -> GuardedStore:
    return GuardedStore(faulty)
