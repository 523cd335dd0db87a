"""Single values of numpy and pandas as Python's own, and times as they are kept."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import numpy as np

from embedkit.checks import printed
from embedkit.errors import InputError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_OWN = frozenset({str, int, float, bool, type(None), list, tuple, dict, bytes})
_COARSE = {"W": 604_800_000_000, "D": 86_400_000_000, "h": 3_600_000_000, "m": 60_000_000}
_COARSE |= {"s": 1_000_000, "ms": 1_000, "us": 1}
"""Microseconds of a unit of numpy's."""
_FINE = {"ns": 1_000, "ps": 1_000_000, "fs": 1_000_000_000, "as": 1_000_000_000_000}
"""How many of a unit of numpy's are a microsecond."""
_KEPT = "cannot be kept, as those from the year 1 to the year 9999 can: change it, or leave it out"


def plain(value: Any) -> Any:
    """``value`` as Python's own, where it is a single value of numpy or pandas; any other value as it is.

    What is missing (NaT, NA, a masked value) is None. Times are a datetime to the microsecond (what is finer is cut off) or,
    where their unit is a day or longer, a date; durations are a timedelta. A datetime has, if any, a fixed offset. Raises
    `InputError` for a time that Python's datetime cannot hold.
    """
    if type(value) in _OWN:
        return value
    if is_missing(value):
        return None
    if isinstance(value, np.datetime64):
        return _moment(value)
    if isinstance(value, np.timedelta64):
        return _duration(value)
    if isinstance(value, np.void | np.ma.mvoid) and value.dtype.names:
        return tuple(plain(value[name]) for name in value.dtype.names)
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, datetime):
        return _own_datetime(value)
    return _own_date(value) if isinstance(value, date) else value


@contextmanager
def reading(what: str) -> Iterator[None]:
    """Whatever a value of another package raises while it is read, as an `InputError`: it costs its own row and no other."""
    try:
        yield
    except InputError:
        raise
    except RecursionError:
        raise InputError(f"{what}: nested too deeply, or holds itself; flatten it") from None
    except Exception as error:
        raise InputError(f"{what}: a value cannot be read ({type(error).__name__}: {error}); leave it out") from error


def fine_seconds(value: Any) -> float | None:
    """The seconds of a duration of numpy or pandas whose unit is finer than a timedelta's; None for any other value."""
    if type(value).__name__ == "Timedelta" and type(value).__module__.startswith("pandas"):
        value = value.to_timedelta64()
    if not isinstance(value, np.timedelta64) or np.isnat(value):
        return None
    unit, step = np.datetime_data(value.dtype)
    if unit not in _FINE:
        return None
    return int(value.astype(np.int64)) * step / (_FINE[unit] * 1_000_000)


def is_missing(value: Any) -> bool:
    """Whether this is a value by which numpy or pandas say that there is none; None and NaN are values here."""
    if isinstance(value, np.datetime64 | np.timedelta64):
        return bool(np.isnat(value))
    kind = type(value)
    return value is np.ma.masked or (kind.__name__ in ("NaTType", "NAType") and kind.__module__.startswith("pandas"))


def timestamp(value: date) -> int:
    """Microseconds since 1970-01-01 UTC of a datetime or date: how filters and `filterable` order time, on every store.

    A naive datetime is read as UTC, a date as its midnight. Raises `InputError` for what is no time, NaT among it.
    """
    found = plain(value)
    if not isinstance(found, date):
        raise InputError(f"timestamp: expected a datetime or a date, found {printed(value)}")
    moment = found if isinstance(found, datetime) else datetime(found.year, found.month, found.day)
    return ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH) // timedelta(microseconds=1)


def read_time(kind: type[date], text: str) -> date | str | None:
    """The time that was written as ``text``: a datetime or date by its ``kind``. Of what earlier versions wrote and no
    version could read, None for ``NaT``, and the text itself for a time that Python's datetime cannot hold."""
    try:
        return kind.fromisoformat(text)
    except ValueError:
        return None if text == "NaT" else text


def _moment(value: np.datetime64) -> date:
    unit, step = np.datetime_data(value.dtype)
    count = int(value.astype(np.int64)) * step
    try:
        if unit in ("Y", "M"):
            years, months = divmod(count if unit == "M" else 12 * count, 12)
            return date(1970 + years, months + 1, 1)
        micros = count * _COARSE[unit] if unit in _COARSE else count // _FINE[unit]
        moment = _EPOCH.replace(tzinfo=None) + timedelta(microseconds=micros)
    except (ValueError, OverflowError):
        raise InputError(f"the time {value} {_KEPT}") from None
    return moment.date() if unit in ("D", "W") else moment


def _duration(value: np.timedelta64) -> Any:
    """A timedelta; the value itself where its unit has no length (years, months, none) or it is too long for one."""
    unit, step = np.datetime_data(value.dtype)
    count = int(value.astype(np.int64)) * step
    if unit not in _COARSE and unit not in _FINE:
        return value
    try:
        return timedelta(microseconds=count * _COARSE[unit] if unit in _COARSE else count // _FINE[unit])
    except OverflowError:
        return value


def _own_datetime(value: datetime) -> datetime:
    if type(value) is datetime and (value.tzinfo is None or value.tzinfo is UTC):
        return value
    try:
        offset = value.utcoffset()
        zone = None if offset is None else timezone(offset)
        day, clock = (value.year, value.month, value.day), (value.hour, value.minute, value.second, value.microsecond)
        found = datetime(*day, *clock, zone)
        # Python reads an offset of less than a second as none at all
        return found.astimezone(UTC) if offset and abs(offset) < timedelta(seconds=1) else found
    except Exception as error:  # a zone or a subclass of another package may raise whatever it likes
        raise InputError(f"the time {_shown(value)} {_KEPT} ({error})") from None


def _own_date(value: date) -> date:
    if type(value) is date:
        return value
    try:
        return date(value.year, value.month, value.day)
    except Exception as error:
        raise InputError(f"the date {_shown(value)} {_KEPT} ({error})") from None


def _shown(value: Any) -> str:
    try:
        return str(value)
    except Exception:
        return f"of the type {type(value).__name__}"
