"""A store with two collections."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from embedkit import Encoder, ingest, open_store
from embedkit.retrieval.tools.toolbox import Toolbox


@pytest.fixture
def toolbox(encoder: Encoder) -> Iterator[Toolbox]:
    with open_store("memory:tools") as store:
        for name in ("docs", "more"):
            store.drop(name)
            rows = [{"id": str(i), "text": f"text {i}", "number": i} for i in range(20 if name == "docs" else 3)]
            ingest(rows, encoder, store, collection=name)
        yield Toolbox(encoder, store, ["docs", "more"])
