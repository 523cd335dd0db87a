"""Metadata as it is kept, content hashes, record batches."""

from __future__ import annotations

import hashlib
import json
import math
from datetime import date, datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedkit.checks import check_id, check_text
from embedkit.errors import InputError
from embedkit.records.batch import RecordBatch
from embedkit.records.metadata import content_hash, dump_metadata, filterable, load_metadata, plain_number, timestamp
from embedkit.vectors.multivector import MultiVectors
from embedkit.vectors.sparse import SparseVectors

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
    aware = [moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc) for moment in (a, b)]
    assert (timestamp(a) < timestamp(b)) == (aware[0] < aware[1])
    assert datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(microseconds=timestamp(a)) == aware[0]


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_plain_numbers_keep_their_value(value):
    plain = plain_number(value)
    assert plain == value
    assert isinstance(plain, int) == (value.is_integer() and -(2**63) <= value < 2**63)


@pytest.mark.parametrize("bad", ["", None, 1, b"x", "\ud800", "a\0"])
def test_ids_that_are_refused(bad):
    with pytest.raises(InputError):
        check_id(bad)


def test_text_that_is_refused():
    assert check_text("a\0") == "a\0"
    for bad in (None, 1, b"x", "ok\udfff"):
        with pytest.raises(InputError):
            check_text(bad)
    with pytest.raises(InputError, match=r"U\+D800 at character 2"):
        check_text("ab\ud800")


def batch(n: int, **columns: object) -> RecordBatch:
    made = {
        "ids": [str(i) for i in range(n)],
        "vectors": np.arange(n * 3, dtype=np.float32).reshape(n, 3),
        "texts": [f"t{i}" for i in range(n)],
        "metadata": [{"i": i} for i in range(n)],
        "hashes": [f"h{i}" for i in range(n)],
    }
    return RecordBatch(**{**made, **columns})


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ({"vectors": np.zeros((2, 3))}, r"float32.*float64 \(2, 3\)"),
        ({"vectors": np.zeros(2, np.float32)}, r"\(n, dim\).*\(2,\)"),
        ({"vectors": [[0.0]]}, "found list"),
        ({"texts": ["x"]}, "texts: expected 2 entries, found 1"),
        ({"hashes": ["x"] * 3}, "hashes: expected 2 entries, found 3"),
        ({"ids": ["a", ""]}, r"ids\[1\]"),
        ({"vectors": np.array([[0, 0, 0], [0, np.inf, 0]], np.float32)}, r"vectors\[1\] \(id '1'\)"),
        ({"sparse": SparseVectors.of(np.eye(3))}, "sparse: expected 2 rows, found 3"),
        ({"sparse": np.eye(2)}, "sparse: expected SparseVectors, found ndarray"),
        ({"multivectors": MultiVectors.of([np.eye(2)])}, "multivectors: expected 2 rows, found 1"),
        ({"multivectors": SparseVectors.of(np.eye(2))}, "multivectors: expected MultiVectors, found SparseVectors"),
    ],
)
def test_batches_that_are_refused(columns, says):
    with pytest.raises(InputError, match=says):
        batch(2, **columns)


def test_batches_are_contiguous_taken_and_split():
    wide = np.arange(12, dtype=np.float32).reshape(2, 6)[:, ::2]
    assert batch(2, vectors=wide).vectors.flags.c_contiguous
    assert np.array_equal(batch(2, vectors=wide).vectors, wide)
    taken = batch(5).take([3, 1])
    assert (taken.ids, taken.texts, taken.metadata, taken.hashes) == (
        ["3", "1"],
        ["t3", "t1"],
        [{"i": 3}, {"i": 1}],
        ["h3", "h1"],
    )
    assert np.array_equal(taken.vectors, batch(5).vectors[[3, 1]])
    assert [list(part.ids) for part in batch(5).split(2)] == [["0", "1"], ["2", "3"], ["4"]]
    assert [len(part) for part in batch(2).split(2)] == [2]
    assert [len(part) for part in batch(0).split(2)] == [0]


def kinds(n: int, seed: int) -> RecordBatch:
    """Rows with vectors of every kind, their numbers of any size."""
    rng = np.random.default_rng(seed)

    def numbers(*shape: int) -> np.ndarray:
        return (rng.normal(size=shape) * 10.0 ** rng.integers(-37, 37, shape)).astype(np.float32)

    weights = [(rng.choice(2**31 - 1, 9, replace=False), numbers(9)) for _ in range(n)]
    return batch(
        n,
        vectors=numbers(n, 3),
        sparse=SparseVectors.of_rows(weights, 2**31 - 1),
        multivectors=MultiVectors.of([numbers(int(rng.integers(0, 5)), 4) for _ in range(n)], 4),
    )


def test_batches_take_and_split_every_kind_of_vectors():
    whole = kinds(7, 0)
    taken = whole.take([5, 0, 5])
    assert taken.sparse == whole.sparse[[5, 0, 5]]
    assert taken.multivectors == whole.multivectors[[5, 0, 5]]
    for parts in (list(whole.split(3)), list(whole.split(10, 1500))):
        assert len(parts) > 1
        assert SparseVectors.concatenate([part.sparse for part in parts]) == whole.sparse
        assert MultiVectors.concatenate([part.multivectors for part in parts]) == whole.multivectors
        assert np.array_equal(np.concatenate([part.vectors for part in parts]), whole.vectors)


@given(st.integers(0, 10_000))
def test_sizes_are_no_less_than_json(seed):
    whole = kinds(5, seed)
    for i, size in enumerate(whole.sizes()):
        indices, weights = whole.sparse[i]
        row = [whole.ids[i], whole.texts[i], whole.metadata_json()[i], whole.vectors[i].tolist(), indices.tolist()]
        found = len(json.dumps([*row, weights.tolist(), whole.multivectors[i].tolist()], separators=(",", ":")))
        assert found <= size + 40 <= 2 * found


@given(st.lists(st.integers(0, 40), max_size=12), st.integers(1, 5), st.integers(1, 400))
def test_batches_are_split_by_bytes(lengths, rows, size):
    batch = RecordBatch(
        [str(i) for i in range(len(lengths))],
        np.zeros((len(lengths), 2), np.float32),
        ["é" * length for length in lengths],
        [{"n": i} for i in range(len(lengths))],
        [""] * len(lengths),
    )
    sizes = batch.sizes()
    assert all(found >= 2 * 2 * length for found, length in zip(sizes, lengths, strict=True))
    parts = [[int(row_id) for row_id in part.ids] for part in batch.split(rows, size)]
    assert [i for part in parts for i in part] == list(range(len(lengths)))
    for part, after in zip(parts, [*parts[1:], []], strict=True):
        assert len(part) <= rows
        assert len(part) <= 1 or sum(sizes[i] for i in part) <= size
        assert not after or len(part) == rows or sum(sizes[i] for i in part) + sizes[after[0]] > size
