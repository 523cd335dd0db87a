"""Single values of numpy and pandas, and times, as Python's own."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from embedkit.errors import FilterError, InputError
from embedkit.records.coercion import converted
from embedkit.records.filters import F
from embedkit.records.metadata import content_hash, dump_metadata, filterable, load_metadata
from embedkit.records.scalars import is_missing, plain, read_time, timestamp

EAST = timezone(timedelta(hours=1))


class Broken(tzinfo):
    """A zone that fails when it is asked."""

    def utcoffset(self, moment: datetime | None) -> timedelta:
        raise KeyError("no rules")

    def dst(self, moment: datetime | None) -> None:
        return None

    def tzname(self, moment: datetime | None) -> str:
        return "broken"


class Timeless(date):
    """A date of another package that cannot say what it is."""

    year = property(lambda self: 1 // 0)  # type: ignore[assignment]

    def __str__(self) -> str:
        return str(1 // 0)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.datetime64("2024-05-01T12:30:15.123456789", "ns"), datetime(2024, 5, 1, 12, 30, 15, 123456)),
        (np.datetime64("1969-07-20T20:17:40.000000001", "ns"), datetime(1969, 7, 20, 20, 17, 40)),
        (np.datetime64(-1, "ps"), datetime(1969, 12, 31, 23, 59, 59, 999999)),
        (np.datetime64(-1, "as"), datetime(1969, 12, 31, 23, 59, 59, 999999)),
        (np.datetime64("2024-05-01T12:30:15", "s"), datetime(2024, 5, 1, 12, 30, 15)),
        (np.datetime64("2024-05-01T12:30", "m"), datetime(2024, 5, 1, 12, 30)),
        (np.datetime64("2024-05-01T12", "h"), datetime(2024, 5, 1, 12)),
        (np.datetime64(3, (np.str_("s"), 25)), datetime(1970, 1, 1, 0, 1, 15)),
        (np.datetime64("2024-05-01"), date(2024, 5, 1)),
        (np.datetime64("2024-05"), date(2024, 5, 1)),
        (np.datetime64("1950"), date(1950, 1, 1)),
        (np.datetime64("0001-01-01T00:00", "s"), datetime.min),
        (np.datetime64("9999-12-31T23:59:59.999999", "us"), datetime.max),
        (np.datetime64("NaT"), None),
        (np.datetime64("NaT", "ns"), None),
        (np.timedelta64("NaT", "ns"), None),
        (np.timedelta64(1_500_000_000, "ns"), timedelta(seconds=1.5)),
        (np.timedelta64(3, "h"), timedelta(hours=3)),
        (np.ma.masked, None),
        (np.float32(0.5), 0.5),
        (np.int64(2**62), 2**62),
        (np.bool_(True), True),
        (np.str_("a"), "a"),
        (datetime(2024, 5, 1, tzinfo=ZoneInfo("Europe/Berlin")), datetime(2024, 4, 30, 22, tzinfo=UTC)),
        (np.array([(1, "2024-05-01")], "i4,datetime64[ns]")[0], (1, datetime(2024, 5, 1))),
        (np.ma.array([(1, "2024-05-01")], "i4,datetime64[ns]", mask=[(True, False)])[0], (None, datetime(2024, 5, 1))),
    ],
)
def test_values_of_numpy_as_pythons_own(value: Any, expected: Any) -> None:
    found = plain(value)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize("value", ["NaT", None, float("nan"), [1], {"a": 1}, b"x", object, timedelta(1)])
def test_other_values_stay_what_they_are(value: Any) -> None:
    assert plain(value) is value
    assert not is_missing(value)


@given(
    st.integers(-(2**63) + 1, 2**63 - 1) | st.integers(-3000, 3000),
    st.sampled_from(["Y", "M", "W", "D", "h", "m", "s", "ms", "us", "ns", "ps"]),
)
def test_numpys_times_are_pythons_or_are_refused(count: int, unit: Any) -> None:
    value = np.datetime64(count, unit)
    fine = {"ns": 1000, "ps": 10**6}.get(unit)
    expected = datetime(1970, 1, 1) + timedelta(microseconds=count // fine) if fine else value.item()
    if isinstance(expected, int):  # what numpy gives for a time that no datetime holds
        with pytest.raises(InputError, match="cannot be kept"):
            plain(value)
    else:
        assert plain(value) == expected
        assert type(plain(value)) is type(expected)


def test_a_duration_without_a_length_stays_numpys() -> None:
    assert isinstance(plain(np.timedelta64(3, "Y")), np.timedelta64)
    assert isinstance(plain(np.timedelta64(2**62, "s")), np.timedelta64)
    with pytest.raises(InputError, match=r"metadata\.x: cannot store"):
        dump_metadata({"x": np.timedelta64(5, "ns")})
    assert converted({"x": np.timedelta64(1_500_000_000, "ns")}, "coerce") == {"x": 1.5}
    assert converted({"x": np.timedelta64(3, "Y")}, "coerce") == {"x": "3 years"}


@pytest.mark.parametrize(
    "value",
    [
        np.datetime64(-70_000_000_000, "s"),
        np.datetime64("10000-01-01"),
        np.datetime64(2**62, "Y"),
        np.datetime64(2**62, "us"),
        datetime(2024, 5, 1, tzinfo=Broken()),
        Timeless(2024, 5, 1),
    ],
)
@pytest.mark.parametrize("mode", ["strict", "coerce", "json"])
def test_a_time_that_cannot_be_kept_is_refused_by_name(value: Any, mode: Any) -> None:
    with pytest.raises(InputError, match=r"metadata\.x\[1\]: the (time|date) .*cannot be kept"):
        dump_metadata(converted({"x": [0, value]}, mode))
    with pytest.raises(FilterError, match=r"F\('x'\)"):
        F("x") >= value


@given(st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30)), st.integers(-86_399_999_999, 86_399_999_999))
@example(datetime(2024, 5, 1), 1)
@example(datetime(2024, 5, 1), -999_999)
def test_any_offset_comes_back(moment: datetime, offset: int) -> None:
    aware = moment.replace(tzinfo=timezone(timedelta(microseconds=offset)))
    assert load_metadata(dump_metadata({"t": aware})) == {"t": aware}


def test_what_pandas_says_is_missing_is_none() -> None:
    pandas = pytest.importorskip("pandas")
    metadata = {"nat": pandas.NaT, "na": pandas.NA, "list": [pandas.NaT, 1], "deep": {"a": pandas.NA}}
    expected = {"nat": None, "na": None, "list": [None, 1], "deep": {"a": None}}
    for mode in ("strict", "coerce", "json"):
        kept = converted(metadata, mode)  # type: ignore[arg-type]
        assert load_metadata(dump_metadata(kept)) == expected
        assert filterable(kept)["nat"] is None
    assert content_hash("t", metadata) == content_hash("t", expected)
    for missing in (pandas.NaT, pandas.NA, np.datetime64("NaT")):
        assert (F("x") == missing) == F("x").is_none()
        assert (F("x") != missing) == ~F("x").is_none()
        assert F("x").is_in([missing, 1]) == F("x").is_in([None, 1])
        with pytest.raises(FilterError, match="found"):
            F("x") < missing


def test_a_frame_of_pandas_comes_back_row_by_row() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(
        {
            "at": pandas.to_datetime(["2024-05-01 12:30:15.123456789", None]),
            "zone": pandas.to_datetime(["2024-05-01 12:00+01:00", None]),
            "n": pandas.array([1, None], dtype="Int64"),
            "word": pandas.array(["a", None], dtype="string"),
        }
    )
    first, second = (load_metadata(dump_metadata(row)) for row in frame.to_dict("records"))
    noon = datetime(2024, 5, 1, 12, tzinfo=EAST)
    assert first == {"at": datetime(2024, 5, 1, 12, 30, 15, 123456), "zone": noon, "n": 1, "word": "a"}
    assert {name: second[name] for name in ("at", "zone", "n")} == {"at": None, "zone": None, "n": None}
    with pytest.raises(InputError, match="cannot be kept"):
        dump_metadata({"t": pandas.Timestamp(np.datetime64(-70_000_000_000, "s"))})


def test_arrays_of_times_under_coerce() -> None:
    times = np.array(["2024-05-01T12:30:15.5", "NaT"], "datetime64[ns]")
    masked = np.ma.array([1, 2], mask=[False, True])
    metadata = {"times": times, "masked": masked, "square": times.reshape(1, 2), "one": times[:1].reshape(())}
    moment = datetime(2024, 5, 1, 12, 30, 15, 500000)
    expected = {"times": [moment, None], "masked": [1, None], "square": [[moment, None]], "one": moment}
    assert converted(metadata, "coerce") == expected
    pandas = pytest.importorskip("pandas")
    assert converted({"column": pandas.Series(times)}, "coerce") == {"column": [moment, None]}


def test_filters_find_numpys_times() -> None:
    fields = filterable({"t": np.datetime64("2024-05-01T12:00", "ns")})
    assert (F("t") == np.datetime64("2024-05-01T12:00", "s")).matches(fields)
    assert (F("t") == datetime(2024, 5, 1, 12)).matches(fields)
    assert (F("t") > np.datetime64("2024-05-01")).matches(fields)


@given(st.datetimes(), st.datetimes())
def test_timestamps_order_as_time_does(a: datetime, b: datetime) -> None:
    assert (timestamp(a) < timestamp(b)) == (a < b)
    assert datetime(1970, 1, 1) + timedelta(microseconds=timestamp(a)) == a


@pytest.mark.parametrize("value", [np.datetime64("NaT"), "2024-05-01", 5, None])
def test_what_has_no_timestamp(value: Any) -> None:
    with pytest.raises(InputError, match="timestamp: expected"):
        timestamp(value)


def test_times_that_earlier_versions_wrote_are_read() -> None:
    assert read_time(datetime, "2024-05-01T12:30:15.123456789") == datetime(2024, 5, 1, 12, 30, 15, 123456)
    assert read_time(date, "2024-05-01") == date(2024, 5, 1)
    assert read_time(datetime, "NaT") is None
    assert read_time(datetime, "-249-10-15T19:33:20") == "-249-10-15T19:33:20"
    kept = '{"t":{"$embedkit":"datetime","value":"NaT"},"u":[{"$embedkit":"datetime","value":"-249-10-15T19:33:20"}]}'
    assert load_metadata(kept) == {"t": None, "u": ["-249-10-15T19:33:20"]}
