"""Metadata as it is kept, as filters see it, and its hash."""

from __future__ import annotations

import hashlib
import json
import math
from datetime import UTC, date, datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedkit.errors import InputError
from embedkit.records.metadata import content_hash, dump_metadata, filterable, load_metadata, plain_number
from embedkit.records.scalars import timestamp

ZONES = st.one_of(st.none(), st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes))))
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(),
    st.dates(),
    st.datetimes(timezones=ZONES),
    st.integers(2**60, 2**80),
)
KEYS = st.one_of(st.text(), st.sampled_from(["$embedkit", "value", "id", "a.b"]))
METADATA = st.dictionaries(
    KEYS,
    st.recursive(
        SCALARS, lambda part: st.lists(part, max_size=3) | st.dictionaries(KEYS, part, max_size=3), max_leaves=8
    ),
    max_size=4,
)


def exact(value: object) -> object:
    """Equal for equal values of equal types, NaN included."""
    if isinstance(value, dict):
        return {key: exact(item) for key, item in value.items()}
    if isinstance(value, list):
        return [exact(item) for item in value]
    return type(value).__name__, value.isoformat() if isinstance(value, date) else repr(value)


@given(METADATA)
def test_metadata_round_trip(metadata):
    kept = dump_metadata(metadata)
    assert exact(load_metadata(kept)) == exact(metadata)
    assert dump_metadata(load_metadata(kept)) == kept
    json.loads(kept, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    kept.encode("utf-8")


@given(METADATA, METADATA, st.text(), st.text())
def test_content_hash_is_equal_only_for_equal_content(a, b, text, other):
    assert content_hash(text, a) == content_hash(text, dict(reversed(a.items())))
    same = text == other and exact(a) == exact(b)
    assert (content_hash(text, a) == content_hash(other, b)) == same


def test_content_hash_is_what_it_was():
    """Stored hashes decide what is encoded again, so the function must not change."""
    expected = hashlib.sha256(rb'["t\u00e9xt", "{\"a\":1}"]').hexdigest()[:32]
    assert content_hash("téxt", {"a": 1}) == expected


def test_conversions_of_metadata():
    metadata = {"t": (1, 2), "f": np.float32(0.5), "i": np.int64(3), "b": np.bool_(True), "s": np.str_("x")}
    assert exact(load_metadata(dump_metadata(metadata))) == exact({"t": [1, 2], "f": 0.5, "i": 3, "b": True, "s": "x"})
    assert dump_metadata({"b": 1, "a": {"d": 1, "c": 2}}) == '{"a":{"c":2,"d":1},"b":1}'


@pytest.mark.parametrize(
    ("metadata", "path"),
    [
        ({"a": {"b": [1, object()]}}, r"metadata\.a\.b\[1\]"),
        ({"a": {1: 2}}, r"metadata\.a"),
        ({"a": b"bytes"}, r"metadata\.a"),
        ({"a": {1, 2}}, r"metadata\.a"),
        ({"a": np.zeros(2)}, r"metadata\.a"),
        ({"a": "\ud800"}, r"metadata\.a"),
        ({"\ud800": 1}, "metadata"),
        ({"a": 10**5000}, "metadata"),
        ([1], "metadata"),
        (None, "metadata"),
    ],
)
def test_metadata_that_is_refused(metadata, path):
    with pytest.raises(InputError, match=path):
        dump_metadata(metadata)


def test_metadata_that_holds_itself_is_refused():
    metadata: dict[str, object] = {}
    metadata["self"] = metadata
    with pytest.raises(InputError, match="holds itself"):
        dump_metadata(metadata)


def test_filterable_entries():
    moment = datetime(2024, 5, 1, 12, tzinfo=timezone(timedelta(hours=2)))
    metadata = {
        "s": "x", "b": True, "i": -(2**63), "f": 0.5, "whole": 2.0, "zero": -0.0, "big": 2**63,
        "nan": math.nan, "none": None, "l": [1], "d": {}, "np": np.float32(0.5), "t": moment,
        "day": date(1970, 1, 2), "huge": 1e300,
    }  # fmt: skip
    expected = {
        "s": "x", "b": True, "i": -(2**63), "f": 0.5, "whole": 2, "zero": 0, "np": 0.5, "t": 1714557600000000,
        "day": 86400000000, "huge": 1e300, "big": [], "nan": [], "none": None, "l": [], "d": [],
    }  # fmt: skip
    assert exact(filterable(metadata)) == exact(expected)


@given(st.datetimes(timezones=ZONES), st.datetimes(timezones=ZONES))
def test_timestamps_order_as_time_does(a, b):
    aware = [moment if moment.tzinfo else moment.replace(tzinfo=UTC) for moment in (a, b)]
    assert (timestamp(a) < timestamp(b)) == (aware[0] < aware[1])
    assert datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=timestamp(a)) == aware[0]


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_plain_numbers_keep_their_value(value):
    plain = plain_number(value)
    assert plain == value
    assert isinstance(plain, int) == (value.is_integer() and -(2**63) <= value < 2**63)
