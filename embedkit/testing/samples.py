"""Ids, names, metadata and filters that have broken a store, or could, and the rows and scans of the cases."""

from __future__ import annotations

import math
import operator
import random
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import numpy as np

from embedkit.records.batch import RecordBatch
from embedkit.records.documents import Record
from embedkit.records.filters import ORDERINGS, Combine, F, Filter, Not
from embedkit.records.metadata import Metadata, content_hash, filterable
from embedkit.stores.contract import Collection
from embedkit.vectors.arrays import FloatArray, unit_length

DIM = 16

# fmt: off
ODD_IDS = [
    "1", "0", "-1", "18446744073709551616", "1.5", "null", "é", "e\u0301", "日本語", "🎉🏳️\u200d🌈", "with space",
    " leading", "trailing ", "a/b", "../up", "a\\b", "it's", 'say "hi"', "'; DROP TABLE docs; --", "%s %d {}",
    "tab\tnew\nline", "$where", "*", "x" * 1_000, "é" * 1_000, "6f0a4e5c-6f1e-5c3a-9b1d-0e4b1d7a2c55",
    "6F0A4E5C-6F1E-5C3A-9B1D-0E4B1D7A2C55", "6f0a4e5c6f1e5c3a9b1d0e4b1d7a2c55",
]

ODD_NAMES = [
    "a", "ab", "docs", "Docs", "DOCS", "a b", "a-b", "a_b", "a.b", "..", "../x", "/", "a/b", "'; drop table x; --",
    'quo"te', "naïve", "日本語", "🎉", "192.168.0.1", "-dash", "x" * 1_000, "x" * 999 + "y", "new\nline", "$", "con",
]

ODD_METADATA: list[Metadata] = [
    {},
    {"none": None, "true": True, "false": False, "zero": 0, "one": 1, "float": 1.0, "negative": -0.5, "empty": ""},
    {"nested": {"a": {"b": [1, None, {"c": "d"}]}}, "mixed": [1, "two", 3.0, None, True, [], {}]},
    {"no items": [], "no keys": {}, "only none": None},
    {"aware": datetime(2024, 2, 29, 12, 30, 15, 123456, timezone(timedelta(hours=5, minutes=30)))},
    {"naive": datetime(1969, 7, 20), "day": date(1, 1, 1), "list": [date(2024, 1, 1), datetime(9999, 12, 31)]},
    {"2**53+1": 2**53 + 1, "2**63-1": 2**63 - 1, "-2**63": -(2**63), "2**63": 2**63, "10**40": -(10**40)},
    {"tiny": 5e-324, "huge": 1.7976931348623157e308, "third": 1 / 3, "minus zero": -0.0},
    {"nan": math.nan, "inf": math.inf, "-inf": -math.inf, "in list": [math.nan]},
    {"unicode": "e\u0301 é 日本語 🎉", "ключ": "значение", "control": "a\x01b\tc\nd", "nul": "a\0b"},
    {"long": "x" * 10_000, "'\"`\\": "'\"`\\", "": "no key", "-": "-", "with space": " "},
    {"id": 1, "ids": "2", "text": "t", "document": "d", "hash": "h", "vector": [1], "embedding": 1},
    {"metadata": {"a": 1}, "fields": "f", "score": 2, "payload": 3, "name": 4},
    {"a.b": 1, "a": {"b": 2}, "a[0]": 3, "$and": 4, "chroma:document": 5, "#document": 6, "_id": 7, "embedkit.hash": 8},
    {"$embedkit": "datetime", "value": "not a time", "deep": {"$embedkit": None}},
]

_MAY_DAY = datetime(2024, 5, 1, tzinfo=UTC)
_X: list[Any] = [
    1, 1.0, True, False, 0, "1", "", "true", 2, 2.5, -3, -0.0, 3, -2, -2.5, 1 / 3, 2.7, 5.187309131217234e-250,
    2**53 - 1, 2**53 + 1, 2**53 + 2, -(2**62), -1e300, 1e300, 10**30, "Ä", "ä", "b", "B", None, [1], {"y": 1}, math.nan,
    _MAY_DAY, _MAY_DAY.astimezone(timezone(timedelta(hours=2))), datetime(2024, 5, 1), date(2024, 5, 1),
    datetime(2024, 5, 1, 0, 0, 0, 1), datetime(1950, 1, 1), "2024-05-01",
]
FILTER_ROWS: list[Metadata] = [
    *({"x": value} for value in _X),
    {}, {"x": 1, "y": "a"}, {"x": 2, "y": "b"}, {"x": 3, "y": "a"}, {"y": "a"}, {"y": "c", "a.b": 7},
    {"y": None}, {"y": None, "x": []}, {"y": {}, "x": 2}, {"x": math.inf, "a.b": None},
    {"a.b": "dotted", "x": 2}, {"a": {"b": 7}}, {"it's \"odd\" [0] $é": 1}, {"it's \"odd\" [0] $é": "v", "x": 5},
]
FILTER_FIELDS = ["x", "y", "a.b", "a", "it's \"odd\" [0] $é", "absent"]
LARGE: list[Any] = [
    2**53 - 1, 2**53, 2**53 + 1, 2**53 + 2, float(2**53 + 2), -(2**53) - 1, -(2**53), 2**63 - 1, -(2**63), 1e308, -1e308, 5e-324, 1,
    2.0**63, 2**63 - 2, 2**63 - 512, 2**63 - 513, 2.0**63 - 1024, math.nextafter(2.0**63, math.inf), 2.0**64, -(2**63) + 1,
    math.nextafter(-(2.0**63), -math.inf), 2**62 + 1,
]
FILTER_NUMBERS: list[Any] = [
    0, 1, 1.0, -0.0, 2, 2.5, 2.3, 2.7, -2.5, -2.3, -3, 1 / 3, 5.187309131217234e-250, 2**53 - 1, 1e300, -1e300,
    _MAY_DAY, date(2024, 5, 1), datetime(1950, 1, 1),
]
FILTER_VALUES: list[Any] = [
    *FILTER_NUMBERS, True, False, "1", "", "a", "b", "Ä", "true", "2024-05-01", "dotted", "v", "it's", 7,
    2**53 + 1, 2**53 + 2, -(2**62),
]
# fmt: on

_COMPARE: dict[str, Callable[[F, Any], Any]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "in": F.is_in,
    "not in": F.not_in,
}


def comparison(field: str, op: str, value: Any) -> Filter:
    """``F(field) op value``; ``in`` and ``not in`` take a list."""
    made: Filter = _COMPARE[op](F(field), value)
    return made


def random_filter(rng: random.Random, depth: int = 4) -> Filter:
    """An expression of at most ``depth`` levels over ``FILTER_FIELDS`` and ``FILTER_VALUES``."""
    kind = rng.choice(["compare", "compare", "presence", "and", "or", "not"]) if depth else "compare"
    if kind == "presence":
        field = F(rng.choice(FILTER_FIELDS))
        return field.exists() if rng.random() < 0.5 else field.is_none()
    if kind == "not":
        return Not(random_filter(rng, depth - 1))
    if kind in ("and", "or"):
        parts = tuple(random_filter(rng, depth - 1) for _ in range(rng.randint(2, 3)))
        return Combine("and" if kind == "and" else "or", parts)
    op = rng.choice(list(_COMPARE))
    if op in ("in", "not in"):
        return comparison(rng.choice(FILTER_FIELDS), op, rng.sample(FILTER_VALUES, rng.choice([0, 1, 3])))
    return comparison(rng.choice(FILTER_FIELDS), op, rng.choice(FILTER_NUMBERS if op in ORDERINGS else FILTER_VALUES))


def fresh_name(name: str) -> str:
    """A name that no collection has, beginning with ``name``."""
    return f"{name} {uuid.uuid4().hex}"


def unit_vectors(n: int, *, dim: int = DIM, seed: int = 0) -> FloatArray:
    """(n, dim) float32 of unit length."""
    return unit_length(np.random.default_rng(seed).normal(size=(n, dim)).astype(np.float32))


def text_batch(
    ids: Sequence[str],
    *,
    vectors: FloatArray | None = None,
    texts: Sequence[str] | None = None,
    metadata: Sequence[Metadata] | None = None,
    seed: int = 0,
) -> RecordBatch:
    """Rows with these ids; what is not given follows from them and from ``seed``."""
    texts = [f"text of {row_id}" for row_id in ids] if texts is None else texts
    metadata = [{"n": i} for i in range(len(ids))] if metadata is None else metadata
    hashes = [
        content_hash(text.encode("utf-8", "replace").decode(), row) for text, row in zip(texts, metadata, strict=True)
    ]
    return RecordBatch(ids, unit_vectors(len(ids), seed=seed) if vectors is None else vectors, texts, metadata, hashes)


def dense_of(record: Record) -> FloatArray:
    """The vector of a record that has one."""
    assert record.vector is not None
    return record.vector


def scanned(docs: Collection, expression: Filter | None = None, *, limit: int = 1000) -> list[Record]:
    """All records of a scan to its end, page by page of at most ``limit``."""
    out: list[Record] = []
    cursor: str | None = None
    while True:
        page = docs.scan(filter=expression, cursor=cursor, limit=limit)
        assert len(page.records) <= limit
        out.extend(page.records)
        cursor = page.cursor
        if cursor is None:
            return out


def matching(docs: Collection, expression: Filter) -> set[str]:
    """The ids of a scan to its end."""
    return {record.id for record in scanned(docs, expression)}


def exact(value: Any) -> str:
    """Tells apart what ``==`` does not (1 and 1.0, 0.0 and -0.0) and equates NaN with itself; keys in any order."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key!r}: {exact(value[key])}" for key in sorted(value)) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(exact(item) for item in value) + "]"
    return value.isoformat() if isinstance(value, datetime) else repr(value)


def expected_ids(expression: Filter) -> set[str]:
    """The positions in ``FILTER_ROWS`` of those that satisfy the filter, by the reference."""
    return {str(i) for i, metadata in enumerate(FILTER_ROWS) if expression.matches(filterable(metadata))}
