"""Where a chunk comes from: its id and what its metadata says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

RESERVED = ("source", "chunk", "chunks", "start", "end", "headings")
"""Metadata that chunking writes. What a document has of these names is kept under ``document.NAME``."""


@dataclass(frozen=True, slots=True)
class Place:
    """Which chunk of a source a document is: ``number`` (from 0) of ``count``."""

    source: str
    number: int
    count: int


def chunk_id(source: str, number: int) -> str:
    """``SOURCE#NUMBER``: what stands behind the last ``#`` is the number, so no two chunks share an id, whatever the
    ids of their sources hold."""
    return f"{source}#{number}"


def place_of(row_id: str, metadata: Mapping[str, Any]) -> Place | None:
    """Where a row that `chunked` made belongs; None for any other row."""
    source, number, count = (metadata.get(name) for name in ("source", "chunk", "chunks"))
    if not isinstance(source, str) or not all(type(value) is int for value in (number, count)):
        return None
    assert isinstance(number, int)
    assert isinstance(count, int)
    return Place(source, number, count) if 0 <= number < count and row_id == chunk_id(source, number) else None
