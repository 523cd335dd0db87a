"""Documents, record batches, hits; and the lossless form in which metadata is kept by every store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from embedkit.vectors.arrays import FloatArray
from embedkit.vectors.sparse import SparseVectors

from .metadata import Metadata


@dataclass(frozen=True, slots=True)
class Document:
    """A text to be stored: ``id`` is any non-empty string, ``metadata`` maps strings to JSON values or datetimes."""

    id: str
    text: str
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Record:
    """A stored row as it was written; ``vector`` is (dim,) float32, ``sparse`` one sparse row, ``multivector`` (k, dim)
    float32, each None where it was not asked for or the collection keeps none."""

    id: str
    text: str
    metadata: Metadata
    hash: str
    vector: FloatArray | None = None
    sparse: SparseVectors | None = None
    multivector: FloatArray | None = None


@dataclass(frozen=True, slots=True)
class Match:
    """What of a ``query`` met what of a document (``found``), as words or tokens, and the ``score`` that this is: of multi-vectors a token
    with the nearest one of the document, of sparse vectors a word that both have with the product of its weights, of BM25 a word."""

    query: str
    found: str
    score: float


@dataclass(frozen=True, slots=True)
class Hit:
    """A search result; a higher ``score`` is nearer, on every store and with every metric.

    ``parts`` are the scores that the ``score`` was made of, by the names of what gave them, such as ``dense`` and
    ``lexical``; empty where it was made of none. ``matches`` are what they add up of, the largest first, by the same names (of a single
    ranking by that of its vectors), where a search was asked to explain.
    """

    id: str
    score: float
    text: str
    metadata: Metadata
    parts: Mapping[str, float] = field(default_factory=dict)
    matches: Mapping[str, Sequence[Match]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RowError:
    """Why one row was not written."""

    id: str
    reason: str


@dataclass(frozen=True, slots=True)
class WriteResult:
    """What became of a batch: ``written`` rows are acknowledged by the store, ``failed`` names every other row."""

    written: int
    failed: tuple[RowError, ...] = ()


@dataclass(frozen=True, slots=True)
class Page:
    """Some records and the ``cursor`` to pass for the next page; a None cursor ends the scan."""

    records: list[Record]
    cursor: str | None = None
