"""A store that fails as it is told; and distributions with store plugins, installed for a test."""

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


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A function that installs a distribution with one module and its entry points."""
    monkeypatch.syspath_prepend(tmp_path)

    def install(name: str, module: str, entries: str) -> None:
        info = tmp_path / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[embedkit.stores]\n{entries}\n")
        (tmp_path / f"{name}.py").write_text(module)

    return install
