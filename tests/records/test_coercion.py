"""Metadata modes: what is kept as it is, what becomes something near, and what becomes plain JSON."""

from __future__ import annotations

import json
import math
import uuid
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import PurePosixPath
from types import MappingProxyType

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedkit.errors import InputError
from embedkit.records.batch import RecordBatch
from embedkit.records.coercion import converted
from embedkit.records.metadata import dump_metadata, load_metadata
from embedkit.stores.contract import CollectionSpec, StoreURL
from embedkit.stores.guarded import GuardedStore
from embedkit.stores.memory import open_store
from embedkit.testing.samples import ODD_METADATA


class Colour(Enum):
    RED = "red"
    BOTH = frozenset({"red", "blue"})


@dataclass
class Place:
    city: str
    at: tuple[float, float]


MOMENT = datetime(2024, 5, 1, 12, tzinfo=UTC)
ANYTHING = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(st.characters(codec=None)), st.binary(max_size=4),
        st.datetimes(), st.dates(), st.times(), st.timedeltas(), st.decimals(), st.uuids(), st.complex_numbers(),
        st.sampled_from([*Colour, np.float32(0.5), np.arange(3), np.bool_(True), np.longdouble(0.5), np.ma.masked,
            np.datetime64("NaT"), np.datetime64(5, "ns"), np.timedelta64(5, "ns"), PurePosixPath("a/b"), object, len]),
    ),
    lambda part: st.one_of(
        st.lists(part, max_size=3), st.tuples(part, part), st.dictionaries(st.text(max_size=3), part, max_size=3),
        st.frozensets(st.one_of(st.integers(), st.text(max_size=2), st.none()), max_size=3),
        st.frozensets(st.tuples(st.one_of(st.integers(), st.text(max_size=2))), max_size=3),
    ),
    max_leaves=8,
)  # fmt: skip


@pytest.mark.parametrize(
    ("value", "coerced", "plain"),
    [
        ((1, "a", None), [1, "a", None], [1, "a", None]),
        ({3, 1, 2}, [1, 2, 3], [1, 2, 3]),
        ({"b", 1, "a", None}, [None, 1, "a", "b"], [None, 1, "a", "b"]),
        (b"\x00\xff", "AP8=", "AP8="),
        (Decimal("1.10"), "1.10", "1.10"),
        (uuid.UUID(int=5), str(uuid.UUID(int=5)), str(uuid.UUID(int=5))),
        (PurePosixPath("a/b"), "a/b", "a/b"),
        (Colour.RED, "red", "red"),
        (Colour.BOTH, ["blue", "red"], ["blue", "red"]),
        (Place("Rome", (41.9, 12.5)), {"city": "Rome", "at": [41.9, 12.5]}, {"city": "Rome", "at": [41.9, 12.5]}),
        (timedelta(minutes=1.5), 90.0, 90.0),
        (time(9, 30), "09:30:00", "09:30:00"),
        (np.array([[1, 2]]), [[1, 2]], [[1, 2]]),
        (np.float64(0.5), 0.5, 0.5),
        (MOMENT, MOMENT, "2024-05-01T12:00:00+00:00"),
        (date(2024, 5, 1), date(2024, 5, 1), "2024-05-01"),
        (math.inf, math.inf, None),
        ([math.nan], None, [None]),
        ("lone \ud800", "lone ?", "lone ?"),
        ({1: {2: 3}}, {"1": {"2": 3}}, {"1": {"2": 3}}),
        (2**70, 2**70, 2**70),
        (deque([1, Decimal(2)]), [1, "2"], [1, "2"]),
        (range(2), [0, 1], [0, 1]),
        ({"a": 1, "b": {2}}.values(), [1, [2]], [1, [2]]),
        (MappingProxyType({"a": (1,)}), {"a": [1]}, {"a": [1]}),
        (memoryview(b"abcdef")[::2], "YWNl", "YWNl"),
        (pa.chunked_array([[1], [None]]), [1, None], [1, None]),
        (pa.table({"a": [1]}), [{"a": 1}], [{"a": 1}]),
        (np.ma.array([(1, 2)], [("a", int), ("b", int)], mask=[(False, True)]), [[1, None]], [[1, None]]),
    ],
)
def test_what_becomes_of_a_value(value, coerced, plain):
    if coerced is not None:
        assert converted({"x": value}, "coerce") == {"x": coerced}
    assert converted({"x": value}, "json") == {"x": plain}
    assert converted({"x": value}, "strict")["x"] is value


@given(st.dictionaries(st.text(max_size=3), ANYTHING, max_size=3))
def test_whatever_is_given_can_be_kept(metadata):
    for mode in ("coerce", "json"):
        once = converted(metadata, mode)
        assert dump_metadata(once) == dump_metadata(converted(once, mode))
        assert dump_metadata(load_metadata(dump_metadata(once))) == dump_metadata(once)
    json.loads(json.dumps(converted(metadata, "json"), allow_nan=False))


@pytest.mark.parametrize("metadata", ODD_METADATA)
def test_what_can_be_kept_is_not_touched_by_coerce(metadata):
    assert dump_metadata(converted(metadata, "coerce")) == dump_metadata(metadata)


def test_what_cannot_be_converted_says_why():
    with pytest.raises(InputError, match="two keys become '1'"):
        converted({1: "a", "1": "b"}, "coerce")
    with pytest.raises(InputError, match="mapping"):
        converted([1], "json")  # type: ignore[arg-type]
    endless: dict[str, object] = {}
    endless["x"] = endless
    with pytest.raises(InputError, match="holds itself"):
        converted(endless, "coerce")


@pytest.mark.parametrize("value", [object(), (x for x in ()), iter("a"), lambda: 0, [object()]])
def test_a_place_in_memory_is_no_value(value):
    """It is another one at the next run, by which the row would be written again each time."""
    with pytest.raises(InputError, match=r"metadata\.a.*: a \w+ has no text but"):
        converted({"a": value}, "coerce")


@pytest.mark.parametrize("value", [object(), iter("ab"), (x for x in "ab"), lambda: 1])
def test_what_has_no_text_but_where_it_lies_is_refused(value):
    """Its hash would be another at each run."""
    with pytest.raises(InputError, match=r"metadata\.x: a .* has no text but <.* at 0x"):
        converted({"x": value}, "coerce")


class Torn(Mapping):
    """A mapping of a stranger's, whose values cannot be had."""

    def __getitem__(self, key):
        raise KeyError("torn")

    def __iter__(self):
        return iter("a")

    def __len__(self):
        return 1


class TornList(list):
    def __iter__(self):
        raise OSError("torn")


@pytest.mark.parametrize("value", [Torn(), TornList([1])])
@pytest.mark.parametrize("mode", ["strict", "coerce", "json"])
def test_what_a_strangers_value_raises_is_told(value, mode):
    with pytest.raises(InputError, match=r"metadata: a value cannot be read \(.*torn"):
        dump_metadata(converted({"x": value}, mode))


def test_a_collection_converts_what_it_is_given():
    store = GuardedStore(open_store(StoreURL.parse(f"memory:{uuid.uuid4()}")))
    batch = RecordBatch(
        ["a", "b"], np.eye(2, dtype=np.float32), ["", ""], [{"x": {1, 2}}, {"at": MOMENT, "n": math.nan}], ["", ""]
    )
    spec = CollectionSpec("docs", 2)
    assert [row.id for row in store.ensure(spec).upsert(batch).failed] == ["a"]
    assert store.ensure(spec, metadata_policy="coerce").upsert(batch).failed == ()
    assert store.open("docs").get(["a"])[0].metadata == {"x": [1, 2]}
    assert store.open("docs", metadata_policy="json").upsert(batch).written == 2
    assert store.open("docs").get(["b"])[0].metadata == {"at": "2024-05-01T12:00:00+00:00", "n": None}
    with pytest.raises(InputError, match="strict, coerce, json"):
        store.open("docs", metadata_policy="loose")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("duration", "seconds"),
    [(np.timedelta64(5, "ns"), 5e-9), (np.timedelta64(-5, "ns"), -5e-9), (np.timedelta64(7, "as"), 7e-18),
     (np.timedelta64(1_500_000_000, "ns"), 1.5), (np.timedelta64(5, "us"), 5e-6)],
)  # fmt: skip
def test_a_duration_finer_than_microseconds_keeps_its_seconds(duration, seconds):
    assert converted({"took": duration, "all": np.array([duration])}, "coerce") == {"took": seconds, "all": [seconds]}


def test_a_duration_of_pandas_keeps_its_nanoseconds():
    pandas = pytest.importorskip("pandas")
    assert converted({"took": pandas.Timedelta(5, "ns"), "not": pandas.NaT}, "json") == {"took": 5e-9, "not": None}
