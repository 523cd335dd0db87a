"""Rows that a cluster writes, and what is stored of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from embedkit.encoders.encoder import Encoder
from embedkit.ingestion import ingest
from embedkit.stores.opening import open_store

Stored = dict[str, tuple[str, dict[str, Any], str, bytes]]


def rows(count: int, *, first: int = 0, **changed: str) -> list[dict[str, Any]]:
    """Rows with a number each; ``changed`` has the texts of some ids."""
    return [{"id": f"d{i}", "text": changed.get(f"d{i}", f"text {i}"), "n": i} for i in range(first, first + count)]


def stored(url: str, collection: str = "docs") -> Stored:
    """All of a collection, by id: text, metadata, hash and the bytes of the vector."""
    with open_store(url) as store:
        found = store.open(collection)
        ids = [row.id for row in found.records()]
        return {
            row.id: (row.text, dict(row.metadata), row.hash, np.asarray(row.vector).tobytes())
            for row in found.get(ids, with_vectors=True)
        }


def by_one_process(given: list[dict[str, Any]], bundle: Path, folder: Path) -> Stored:
    """What `embedkit.ingest` makes of rows."""
    here = f"sqlite-vec:{folder}/here.db"
    ingest(given, Encoder.load(bundle, variant="fp32", on_truncate="ignore"), here, collection="docs")
    return stored(here)
