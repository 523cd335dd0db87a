"""What is done with metadata that a store cannot keep as it is: ``strict``, ``coerce`` or ``json``."""

from __future__ import annotations

import base64
import dataclasses
import math
import re
from collections.abc import Collection, Mapping
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from embedkit.checks import one_of
from embedkit.errors import InputError

from .metadata import Metadata
from .scalars import fine_seconds, plain, reading

MetadataMode: TypeAlias = Literal["strict", "coerce", "json"]
MODES: tuple[MetadataMode, ...] = get_args(MetadataMode)


_PLAINER = ("as_py", "tolist", "to_pylist")
"""What gives Python's own values: of a scalar of pyarrow, of a column of pandas and a tensor, of a column of pyarrow."""
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+>")
"""Where Python writes an object of which it knows nothing else."""


def check_mode(mode: str) -> None:
    """Raise `OptionError` unless ``mode`` is one of `MODES`."""
    one_of("metadata mode", mode, MODES)


def converted(metadata: Mapping[str, Any], mode: MetadataMode) -> Metadata:
    """The metadata that is stored.

    * ``strict``: as it is. A value comes back equal (None, NaN, datetimes and integers of any size included; NaT and NA as
      None), and one of a type that could not is refused when the row is written.
    * ``coerce``: a value of another type becomes the nearest that can be kept. A set becomes a sorted list, an array, a column
      or another collection a list, an enum its value, a dataclass a mapping, a timedelta seconds, bytes base64, anything else
      (UUID, Decimal, a path, ...) its text; keys become text; a lone surrogate becomes ``?``.
    * ``json``: in addition nothing but JSON is left. NaN and the infinities become None, datetimes and dates ISO 8601 text.

    Raises `InputError` where two keys become one, for a time that no datetime can hold, for a value whose text cannot be had
    or tells where it lies in memory (a generator), and for metadata that is no mapping, or holds itself.
    """
    if not isinstance(metadata, Mapping):
        raise InputError(f"metadata: expected a mapping, found {type(metadata).__name__}")
    with reading("metadata"):
        return dict(metadata) if mode == "strict" else _mapping(metadata, "metadata", json=mode == "json")


def _mapping(value: Mapping[Any, Any], path: str, *, json: bool) -> Metadata:
    out: Metadata = {}
    for key, item in value.items():
        name = _text(str(key.value if isinstance(key, Enum) else key))
        if name in out:
            raise InputError(f"{path}: two keys become {name!r}; rename one")
        out[name] = _value(item, f"{path}.{name}", json=json)
    return out


def _value(value: Any, path: str, *, json: bool) -> Any:
    """The nearest value that can be kept; what is made of it may need another step (an enum of a set, an array)."""
    if isinstance(value, Enum):
        return _value(value.value, path, json=json)
    if (seconds := fine_seconds(value)) is not None:
        return seconds
    try:
        value = plain(value)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    if isinstance(value, np.ndarray):
        return _value(_listed(value), path, json=json)
    if isinstance(value, np.floating):  # wider than Python's
        value = float(value)
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, float):
        return None if json and not math.isfinite(value) else value
    if isinstance(value, date):
        return value.isoformat() if json else value
    if isinstance(value, Mapping):
        return _mapping(value, path, json=json)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        return _mapping(fields, path, json=json)
    if isinstance(value, set | frozenset):
        return _sorted([_value(item, path, json=json) for item in value])
    if isinstance(value, list | tuple):
        return [_value(item, f"{path}[{i}]", json=json) for i, item in enumerate(value)]
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, time):
        return value.isoformat()
    if isinstance(value, bytes | bytearray | memoryview):
        return base64.b64encode(bytes(value)).decode("ascii")
    if json and isinstance(value, Decimal) and not value.is_finite():
        return None
    try:
        for name in _PLAINER:
            if hasattr(value, name) and not isinstance(value, np.generic):
                return _value(getattr(value, name)(), path, json=json)
        if isinstance(value, Collection) and not hasattr(value, "columns"):
            return [_value(item, f"{path}[{i}]", json=json) for i, item in enumerate(value)]
        text = _text(str(value))
    except (InputError, RecursionError):
        raise
    except Exception as error:  # of a stranger's class
        raise InputError(f"{path}: a {type(value).__name__} has no text ({type(error).__name__}: {error})") from None
    if _ADDRESS.search(text):  # another at each run
        raise InputError(
            f"{path}: a {type(value).__name__} has no text but {text:.80}; leave it out, or give what it stands for"
        )
    return text


def _listed(value: npt.NDArray[Any]) -> Any:
    """An array as a list, whose items may be numpy's where they are none of Python's (times, masked and wide numbers)."""
    if value.dtype.kind in "biufSU" and not isinstance(value, np.ma.MaskedArray):
        return value.tolist()
    return list(value) if value.ndim else value[()]


def _sorted(items: list[Any]) -> list[Any]:
    try:
        return sorted(items, key=lambda item: (type(item).__name__, item))
    except TypeError:  # lists of unlike things, times with and without a zone
        return sorted(items, key=lambda item: (type(item).__name__, repr(item)))


def _text(value: str) -> str:
    return value.encode("utf-8", "replace").decode("utf-8")
