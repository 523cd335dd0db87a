"""A row as Milvus keeps it, and back.

A row's key is a digest of its id, since Milvus takes no quotes in some places and no key above 65,535 bytes. Its other
texts end there too: what is longer goes on in ``more``, an array of texts, of which each begins with the initial of its
column.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from embedkit.stores import CollectionInfo, Hit, Record, SparseVectors, load_metadata

MOST_BYTES, MOST_PARTS = 65_535, 4_096
"""Most bytes of a text, and most texts in an array."""
TEXTS = ("id", "text", "metadata")
"""The columns that may be longer than Milvus keeps a text."""
COLUMNS = [*TEXTS, "more"]
"""What of a row makes a hit."""

_PART = 16_000  # characters have up to 4 bytes


def key_of(row_id: str) -> str:
    """The key of the row with this id."""
    return hashlib.sha256(row_id.encode()).hexdigest()[:40]


def in_parts(**columns: str) -> dict[str, Any]:
    """The texts of a row by column, cut to what Milvus keeps of one, with what is longer under ``more``."""
    more = [
        name[0] + text[start : start + _PART]
        for name, text in columns.items()
        for start in range(_PART, len(text), _PART)
    ]
    return {**{name: text[:_PART] for name, text in columns.items()}, "more": more}


def whole(row: dict[str, Any], name: str) -> str:
    """The text that `in_parts` was given for a column."""
    return str(row[name]) + "".join(part[1:] for part in row["more"] if part[0] == name[0])


def refusal(kept: dict[str, Any], fields: str, digest: str) -> str:
    """Why Milvus has no room for a row; empty where it has."""
    if len(kept["more"]) > MOST_PARTS:
        sizes = {name: sum(part[0] == name[0] for part in kept["more"]) * _PART for name in TEXTS}
        largest = max(sizes, key=sizes.__getitem__)
        return (
            f"{largest}: Milvus keeps about {_PART * MOST_PARTS:,} characters of a row's id, text and metadata, and of this one's "
            f"{largest} alone there are about {sizes[largest]:,}; cut the text into chunks, or keep what is large elsewhere"
        )
    if len(fields) > MOST_BYTES:
        return "metadata: Milvus keeps at most about 1,200 keys that can be filtered on; nest some of them under one"
    if len(digest.encode()) > MOST_BYTES:
        return f"hash: Milvus keeps at most {MOST_BYTES:,} bytes"
    return ""


def record(row: dict[str, Any], info: CollectionInfo) -> Record:
    """The record of a row that was fetched with `COLUMNS` and ``hash``."""
    return Record(
        whole(row, "id"),
        whole(row, "text"),
        load_metadata(whole(row, "metadata")),
        row["hash"],
        np.asarray(row["vector"], np.float32) if "vector" in row else None,
        SparseVectors.of_rows([entries(row["sparse"], info.sparse)], info.sparse) if "sparse" in row else None,
    )


def sparse_of(vectors: SparseVectors, row: int) -> dict[int, float]:
    """A sparse vector as Milvus takes it; it takes no empty one, for which a number after the last stands."""
    indices, values = vectors[row]
    return dict(zip(indices.tolist(), values.tolist(), strict=True)) or {vectors.dim: 1.0}


def entries(found: Mapping[Any, float], dim: int) -> tuple[list[int], list[float]]:
    """The inverse of `sparse_of` for a vocabulary of ``dim`` words: indices and values."""
    kept = {int(index): value for index, value in found.items() if int(index) < dim}
    return list(kept), list(kept.values())


def hit(row: dict[str, Any], score: float) -> Hit:
    """The hit of a row that was fetched with `COLUMNS`."""
    return Hit(whole(row, "id"), score, whole(row, "text"), load_metadata(whole(row, "metadata")))
