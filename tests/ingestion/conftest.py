"""An empty store of this process, and a working folder of its own for each test."""

from __future__ import annotations

from pathlib import Path

import pytest

from embedkit.stores.guarded import GuardedStore
from helpers.faulty_store import FaultyStore


@pytest.fixture
def faulty() -> FaultyStore:
    return FaultyStore()


@pytest.fixture
def store(faulty: FaultyStore) -> GuardedStore:
    return GuardedStore(faulty)


@pytest.fixture(autouse=True)
def working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path
