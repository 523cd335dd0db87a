"""Metadata as JSON that loses nothing, as fields that filters see, and its hash."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, TypeAlias

from embedkit.checks import check_text
from embedkit.errors import InputError

from .scalars import plain, read_time, reading, timestamp

Metadata: TypeAlias = dict[str, Any]


Field: TypeAlias = str | int | float | bool | list[Any] | None


_TAG = "$embedkit"


def content_hash(text: str, metadata: Mapping[str, Any]) -> str:
    """sha256 (32 hex digits) of a document's text and metadata: equal when, and only when, nothing in them changed."""
    whole = json.dumps([text, dump_metadata(metadata)], ensure_ascii=True)
    return hashlib.sha256(whole.encode()).hexdigest()[:32]


def dump_metadata(metadata: Mapping[str, Any]) -> str:
    """Metadata as canonical JSON (sorted keys), lossless: None, nesting, mixed lists, datetimes, NaN and integers of
    any size.

    Tuples become lists, and single values of numpy and pandas Python's own (`embedkit.records.scalars.plain`): NaT and NA
    are None. Raises `InputError` naming the path of a value of any other type, of a time that no datetime holds, of a key
    that is not a string, or of invalid Unicode; and for nesting beyond Python's recursion limit.
    """
    if not isinstance(metadata, Mapping):
        raise InputError(f"metadata: expected a mapping, found {type(metadata).__name__}")
    with reading("metadata"):
        kept = _to_json(metadata, "metadata")
        try:
            return json.dumps(kept, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)
        except ValueError as error:
            raise InputError(f"metadata: {error}; keep such a number as text") from None


def load_metadata(text: str) -> Metadata:
    """The inverse of `dump_metadata`; times that earlier versions wrote and no version could read are what
    `embedkit.records.scalars.read_time` makes of them."""
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
        value = plain(raw)
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


def _to_json(value: Any, path: str) -> Any:
    try:
        value = plain(value)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        return check_text(value, path)
    if isinstance(value, float):
        return value if math.isfinite(value) else {_TAG: "float", "value": repr(float(value))}
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
        return read_time(datetime, inner)
    if tag == "date":
        return read_time(date, inner)
    return {key: _from_json(item) for key, item in inner.items()}
