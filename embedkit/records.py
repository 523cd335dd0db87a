"""Documents, record batches, hits; and the lossless form in which metadata is kept by every store."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone
from typing import Any, TypeAlias

import numpy as np

from embedkit.vectors.arrays import FloatArray
from embedkit.vectors.multivector import MultiVectors
from embedkit.vectors.sparse import SparseVectors

from .checks import check_id, check_text
from .errors import InputError

Metadata: TypeAlias = dict[str, Any]
Field: TypeAlias = str | int | float | bool | list[Any] | None

_TAG = "$embedkit"
_NUMBER, _INDEX = 24, 11
"""Most bytes of a float32 as a float64 (-1.1754943508222875e-38), and of an index below 2**31, in JSON, with a comma."""
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


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
class Hit:
    """A search result; a higher ``score`` is nearer, on every store and with every metric.

    ``parts`` are the scores that the ``score`` was made of, by the names of what gave them, such as ``dense`` and
    ``lexical``; empty where it was made of none.
    """

    id: str
    score: float
    text: str
    metadata: Metadata
    parts: Mapping[str, float] = field(default_factory=dict)


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


@dataclass(frozen=True, slots=True)
class RecordBatch:
    """Rows to be written, by column. All columns have n entries; ``vectors`` is (n, dim) float32, finite, C-contiguous, and
    (n, 0) for a collection without dense vectors. ``sparse`` and ``multivectors`` are there where the collection has them.
    ``hashes`` are what `content_hash` gives; they may be any text where nothing is compared with a source.

    ``dumped`` is the metadata as `dump_metadata` gives it, where that is known already; `metadata_json` gives it anyway.

    Raises `InputError` where a column has another length, an id is empty or not text, or a vector is not finite.
    """

    ids: Sequence[str]
    vectors: FloatArray
    texts: Sequence[str]
    metadata: Sequence[Metadata]
    hashes: Sequence[str]
    dumped: Sequence[str] | None = field(default=None, repr=False, compare=False)
    sparse: SparseVectors | None = None
    multivectors: MultiVectors | None = None

    def __post_init__(self) -> None:
        vectors = self.vectors
        if not isinstance(vectors, np.ndarray) or vectors.ndim != 2 or vectors.dtype != np.float32:
            found = f"{vectors.dtype} {vectors.shape}" if isinstance(vectors, np.ndarray) else type(vectors).__name__
            raise InputError(f"RecordBatch.vectors: expected a float32 array of shape (n, dim), found {found}")
        if not vectors.flags.c_contiguous:
            object.__setattr__(self, "vectors", np.ascontiguousarray(vectors))
        for name in ("ids", "texts", "metadata", "hashes"):
            if len(getattr(self, name)) != len(vectors):
                raise InputError(
                    f"RecordBatch.{name}: expected {len(vectors)} entries, found {len(getattr(self, name))}"
                )
        for name, kind in (("sparse", SparseVectors), ("multivectors", MultiVectors)):
            column = getattr(self, name)
            if column is not None and not isinstance(column, kind):
                raise InputError(f"RecordBatch.{name}: expected {kind.__name__}, found {type(column).__name__}")
            if column is not None and len(column) != len(vectors):
                raise InputError(f"RecordBatch.{name}: expected {len(vectors)} rows, found {len(column)}")
        for i, row_id in enumerate(self.ids):
            check_id(row_id, f"RecordBatch.ids[{i}]")
        finite = np.isfinite(vectors).all(axis=1)
        if not finite.all():
            row = int(np.argmin(finite))
            raise InputError(f"RecordBatch.vectors[{row}] (id {self.ids[row]!r}) holds NaN or infinity")

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: Sequence[int]) -> RecordBatch:
        """The batch of the given rows, in the given order."""
        places = np.asarray(rows, dtype=np.intp)
        return RecordBatch(
            sparse=None if self.sparse is None else self.sparse[places],
            multivectors=None if self.multivectors is None else self.multivectors[places],
            ids=[self.ids[i] for i in rows],
            vectors=self.vectors[places],
            texts=[self.texts[i] for i in rows],
            metadata=[self.metadata[i] for i in rows],
            hashes=[self.hashes[i] for i in rows],
            dumped=None if self.dumped is None else [self.dumped[i] for i in rows],
        )

    def metadata_json(self) -> Sequence[str]:
        """Each row's metadata as `dump_metadata` gives it, made once."""
        if self.dumped is None:
            object.__setattr__(self, "dumped", [dump_metadata(metadata) for metadata in self.metadata])
        assert self.dumped is not None
        return self.dumped

    def sizes(self) -> list[int]:
        """About how many bytes each row takes in JSON at most: its strings twice escaped, and 24 bytes a number, since clients
        write a float32 with the 17 digits of a float64."""
        numbers = np.full(len(self), _NUMBER * self.vectors.shape[1])
        if self.sparse is not None:
            numbers += (_NUMBER + _INDEX) * np.diff(self.sparse.offsets)
        if self.multivectors is not None:
            numbers += _NUMBER * self.multivectors.dim * np.diff(self.multivectors.offsets)
        return [
            count + 2 * (len(row_id.encode()) + len(text.encode()) + len(kept.encode()))
            for count, row_id, text, kept in zip(
                numbers.tolist(), self.ids, self.texts, self.metadata_json(), strict=True
            )
        ]

    def split(self, max_rows: int, max_bytes: int | None = None) -> Iterator[RecordBatch]:
        """Consecutive batches of at most ``max_rows`` rows and, by `sizes`, ``max_bytes`` bytes; a row that is larger
        alone is a batch of its own."""
        sizes = self.sizes() if max_bytes is not None else [0] * len(self)
        if len(self) <= max_rows and sum(sizes) <= (max_bytes or 0):
            yield self
            return
        start = total = 0
        for i, size in enumerate(sizes):
            total += size
            if i > start and (i - start == max_rows or total > (max_bytes or 0)):
                yield self.take(range(start, i))
                start, total = i, size
        if start < len(self):
            yield self.take(range(start, len(self)))


def content_hash(text: str, metadata: Mapping[str, Any]) -> str:
    """sha256 (32 hex digits) of a document's text and metadata: equal when, and only when, nothing in them changed."""
    whole = json.dumps([text, dump_metadata(metadata)], ensure_ascii=True)
    return hashlib.sha256(whole.encode()).hexdigest()[:32]


def dump_metadata(metadata: Mapping[str, Any]) -> str:
    """Metadata as canonical JSON (sorted keys), lossless: None, nesting, mixed lists, datetimes, NaN and integers of
    any size.

    Tuples become lists and numpy scalars become Python numbers. Raises `InputError` naming the path of a value of
    any other type, of a key that is not a string, or of invalid Unicode; and for nesting beyond Python's recursion
    limit.
    """
    if not isinstance(metadata, Mapping):
        raise InputError(f"metadata: expected a mapping, found {type(metadata).__name__}")
    try:
        return json.dumps(
            _to_json(metadata, "metadata"), ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False
        )
    except InputError:
        raise
    except RecursionError:
        raise InputError("metadata: nested too deeply, or holds itself; flatten it") from None
    except ValueError as error:
        raise InputError(f"metadata: {error}; keep such a number as text") from None


def load_metadata(text: str) -> Metadata:
    """The inverse of `dump_metadata`."""
    value = _from_json(json.loads(text))
    if not isinstance(value, dict):
        raise InputError(f"stored metadata: expected a JSON object, found {type(value).__name__}")
    return value


def filterable(metadata: Mapping[str, Any]) -> dict[str, Field]:
    """What a store filters on, by top-level key: text, bools, None, finite numbers within 64 bits as `plain_number`
    gives them, and datetimes and dates as `timestamp` gives them. Any other value, which only ``exists`` can ask for, is
    an empty list; the lossless form holds the whole of it.
    """
    out: dict[str, Field] = {}
    for key, raw in metadata.items():
        value = raw.item() if isinstance(raw, np.generic) else raw
        out[key] = []
        if value is None or isinstance(value, bool | str):
            out[key] = value
        elif (isinstance(value, int) and -(2**63) <= value < 2**63) or (
            isinstance(value, float) and math.isfinite(value)
        ):
            out[key] = plain_number(value)
        elif isinstance(value, date):
            out[key] = timestamp(value)
    return out


def plain_number(value: float) -> float:
    """A float that is a whole number within 64 bits as an int, any other number as it is: databases that keep
    integers and floats apart then find 1.0 where 1 is asked for."""
    whole = isinstance(value, float) and value.is_integer() and -(2.0**63) <= value < 2.0**63
    return int(value) if whole else value


def timestamp(value: date) -> int:
    """Microseconds since 1970-01-01 UTC of a datetime or date: how filters and `filterable` order time, on every store.

    A naive datetime is read as UTC, a date as its midnight.
    """
    moment = value if isinstance(value, datetime) else datetime(value.year, value.month, value.day)
    return ((moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)) - _EPOCH) // timedelta(microseconds=1)


def _to_json(value: Any, path: str) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        return check_text(value, path)
    if isinstance(value, float):
        return value if math.isfinite(value) else {_TAG: "float", "value": repr(value)}
    if isinstance(value, datetime):
        return {_TAG: "datetime", "value": value.isoformat()}
    if isinstance(value, date):
        return {_TAG: "date", "value": value.isoformat()}
    if isinstance(value, list | tuple):
        return [_to_json(item, f"{path}[{i}]") for i, item in enumerate(value)]
    if isinstance(value, Mapping):
        out = {}
        for key, item in value.items():
            if not isinstance(key, str):
                raise InputError(f"{path}: expected string keys, found {type(key).__name__} {key!r}")
            out[check_text(key, f"{path} key")] = _to_json(item, f"{path}.{key}")
        return {_TAG: "dict", "value": out} if _TAG in out else out
    raise InputError(
        f"{path}: cannot store a {type(value).__name__}; "
        "use text, numbers, bool, None, datetime, date, lists or mappings of these"
    )


def _from_json(value: Any) -> Any:
    if isinstance(value, list):
        return [_from_json(item) for item in value]
    if not isinstance(value, dict):
        return value
    tag = value.get(_TAG)
    if tag is None:
        return {key: _from_json(item) for key, item in value.items()}
    inner = value["value"]
    if tag == "float":
        return float(inner)
    if tag == "datetime":
        return datetime.fromisoformat(inner)
    if tag == "date":
        return date.fromisoformat(inner)
    return {key: _from_json(item) for key, item in inner.items()}
