"""A row as a point, and a filter as a condition on its payload: what every way to Qdrant's engine shares.

Qdrant's ids are integers or UUIDs, so a point's id is the uuid5 of the row's, which the payload keeps. What can be
filtered on lies under one key of the payload, with names made safe for Qdrant's paths; the lossless metadata lies beside
it as JSON text.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import numpy as np

from embedkit.stores import (
    CollectionInfo,
    CollectionSpec,
    Combine,
    Compare,
    Filter,
    FloatArray,
    Hit,
    Not,
    Record,
    RecordBatch,
    Scalar,
    SparseVectors,
    check_cursor,
    filterable,
    load_metadata,
)

PAYLOAD = ["id", "text", "hash", "metadata"]
"""The keys of a payload that make a record."""

DENSE, SPARSE, SEVERAL = "dense", "sparse", "multivector"
"""The vectors' names, in a collection that has others than dense ones; else the dense one has no name."""

OVERSAMPLING = {"int8+full": 4.0, "binary+full": 20.0}
"""How many times as many points as are wanted are found by rounded vectors, and ranked by full ones."""

_ROW_IDS = uuid.UUID("6f0a4e5c-6f1e-5c3a-9b1d-0e4b1d7a2c55")
_OTHER = {"other": True}
"""Stands for a value that is no scalar: Qdrant takes an empty list for a missing field."""


class Models(Protocol):
    """Conditions as one client or engine takes them."""

    def all_of(self, parts: list[Any]) -> Any:
        """Holds where all of ``parts`` do."""

    def any_of(self, parts: list[Any]) -> Any:
        """Holds where one of ``parts`` does."""

    def none_of(self, parts: list[Any]) -> Any:
        """Holds where none of ``parts`` does."""

    def ids(self, ids: list[str]) -> Any:
        """Holds for the points with these ids."""

    def is_null(self, key: str) -> Any:
        """Holds where the payload has null at ``key``."""

    def is_empty(self, key: str) -> Any:
        """Holds where the payload has nothing at ``key``, null, or an empty list."""

    def equal(self, key: str, value: Scalar) -> Any:
        """Holds where the payload has ``value`` at ``key``."""

    def among(self, key: str, values: list[str] | list[int]) -> Any:
        """Holds where the payload has one of ``values``, which are of one type, at ``key``."""

    def within(self, key: str, bounds: dict[str, float]) -> Any:
        """Holds where the payload has a number within ``bounds`` (``lt``, ``lte``, ``gt``, ``gte``) at ``key``."""


def point_id(row_id: str) -> str:
    """The UUID of a row's point."""
    return str(uuid.uuid5(_ROW_IDS, row_id))


def check_offset(cursor: str | None) -> str | None:
    """``cursor`` if it can be the id of a point, or None; else `InputError`."""
    return check_cursor(cursor, "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def payloads(batch: RecordBatch) -> Iterator[dict[str, Any]]:
    """The payload of each row."""
    columns = zip(batch.ids, batch.texts, batch.metadata, batch.metadata_json(), batch.hashes, strict=True)
    for row_id, text, metadata, kept, digest in columns:
        fields = filterable(metadata)
        yield {
            "id": row_id,
            "text": text,
            "hash": digest,
            "metadata": kept,
            "fields": {_field(key): _OTHER if isinstance(value, list) else value for key, value in fields.items()},
        }


def has_names(info: CollectionInfo | CollectionSpec) -> bool:
    """Whether the collection's vectors have names."""
    return bool(info.sparse or info.multivector)


def vectors(batch: RecordBatch, sparse_vector: Callable[[list[int], list[float]], Any]) -> Iterator[Any]:
    """The vectors of each row as a point has them."""
    for i, dense in enumerate(batch.vectors.tolist()):
        if batch.sparse is None and batch.multivectors is None:
            yield dense
            continue
        named: dict[str, Any] = {DENSE: dense} if dense else {}
        if batch.multivectors is not None:
            named[SEVERAL] = batch.multivectors[i].tolist()
        if batch.sparse is not None:
            indices, values = batch.sparse[i]
            if len(indices):
                named[SPARSE] = sparse_vector(indices.tolist(), values.tolist())
        yield named


def record(point: Any, info: CollectionInfo) -> Record:
    """The row of a point that was fetched with `PAYLOAD`."""
    kept: dict[str, Any] = point.payload or {}
    row = (kept["id"], kept["text"], load_metadata(kept["metadata"]), kept["hash"])
    if point.vector is None:
        return Record(*row)
    if not has_names(info):
        return Record(*row, _array(point.vector))
    found: dict[str, Any] = point.vector
    sparse = None
    if info.sparse:
        given = found.get(SPARSE)
        sparse = SparseVectors.of_rows([(given.indices, given.values) if given is not None else ([], [])], info.sparse)
    return Record(
        *row,
        _array(found[DENSE]) if info.dim else None,
        sparse,
        _array(found[SEVERAL]) if info.multivector else None,
    )


def _array(found: Any) -> FloatArray:
    return np.asarray(found, dtype=np.float32)


def hit(point: Any, sign: float) -> Hit:
    """The hit of a point that was found; ``sign`` is -1 where its score is a distance."""
    kept: dict[str, Any] = point.payload or {}
    return Hit(kept["id"], sign * point.score, kept["text"], load_metadata(kept["metadata"]))


def condition(expression: Filter, models: Models) -> Any:
    """The filter as a condition of ``models``."""
    if isinstance(expression, Combine):
        parts = [condition(part, models) for part in expression.parts]
        return models.all_of(parts) if expression.op == "and" else models.any_of(parts)
    if isinstance(expression, Not):
        return models.none_of([condition(expression.part, models)])
    assert isinstance(expression, Compare)
    key, op, value = f"fields.{_field(expression.field)}", expression.op, expression.value
    if op == "none":
        return models.is_null(key)
    if op == "exists":
        return models.any_of([models.none_of([models.is_empty(key)]), models.is_null(key)])
    if op in ("==", "in", "!=", "not in"):
        found = _equal(key, value if isinstance(value, tuple) else (value,), models)
        return models.any_of(found) if op in ("==", "in") else models.none_of(found)
    assert isinstance(value, int | float)
    return models.within(key, {{"<": "lt", "<=": "lte", ">": "gt", ">=": "gte"}[op]: value})


def _equal(key: str, values: tuple[Scalar, ...], models: Models) -> list[Any]:
    """Conditions of which one holds where the field has one of the values."""
    texts = [value for value in values if isinstance(value, str)]
    integers = [value for value in values if isinstance(value, int) and not isinstance(value, bool)]
    out = [models.equal(key, value) for value in values if isinstance(value, bool | float)]
    for listed in (texts, integers):
        if len(listed) == 1:
            out.append(models.equal(key, listed[0]))
        elif listed:
            out.append(models.among(key, listed))
    return out


def _field(key: str) -> str:
    """``key`` as one step of a payload path, which is bare where it holds letters, digits, ``_`` and ``-`` only."""
    return re.sub(r"[^A-Za-z0-9_]", lambda found: f"-{ord(found[0]):x}-", key)
