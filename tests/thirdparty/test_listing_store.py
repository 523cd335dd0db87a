"""A plugin of another distribution is found by its entry point and held to the same contract."""

from __future__ import annotations

from pathlib import Path

import pytest

from embedkit.guard import GuardedStore
from embedkit.registry import open_store, store_plugins
from embedkit.testing import StoreTests


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What installing the stranger's package leaves behind: a module and its ``dist-info``."""
    info = tmp_path / "listing_store-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: listing-store\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[embedkit.stores]\nlisting = listing_store:open_store\n")
    (tmp_path / "listing_store.py").write_text(Path(__file__).with_name("listing_store.py").read_text())
    monkeypatch.syspath_prepend(tmp_path)


def test_it_is_found_by_its_entry_point(installed):
    assert store_plugins()["listing"].value == "listing_store:open_store"
    with open_store("listing:anywhere") as store:
        assert isinstance(store, GuardedStore)
        assert type(store.inner).__name__ == "ListingStore"


class TestListingStore(StoreTests):
    @pytest.fixture
    def connect(self, installed):
        return lambda: open_store("listing:anywhere").inner
