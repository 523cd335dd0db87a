"""Checks of what is handed in."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping
from numbers import Real
from typing import Any

from .errors import InputError, OptionError


def positive(name: str, value: object) -> int:
    """``value`` if it is a positive integer, and no bool; else `OptionError`, which names it."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise OptionError(f"{name}: expected a positive integer, found {printed(value)}")
    return value


def integer(name: str, value: object, *, least: int, most: int | None = None) -> int:
    """``value`` if it is an integer, and no bool, from ``least`` to ``most`` (None for no end); else `OptionError`."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least or (most is not None and value > most):
        wanted = f"of at least {least}" if most is None else f"from {least} to {most}"
        raise OptionError(f"{name}: expected an integer {wanted}, found {printed(value)}")
    return value


def boolean(name: str, value: object) -> bool:
    """``value`` if it is True or False; else `OptionError`: what Python takes for true may be the word no."""
    if isinstance(value, bool):
        return value
    raise OptionError(f"{name}: expected True or False, found {printed(value):.80}")


def real(name: str, value: object, *, least: float = -math.inf, most: float = math.inf) -> float:
    """``value`` if it is a number from ``least`` to ``most``, and neither a bool nor NaN; else `OptionError`."""
    try:
        number = float(value) if isinstance(value, Real) and not isinstance(value, bool) else math.nan
    except (OverflowError, TypeError):  # TypeError: of numpy's durations, which are numbers by their type alone
        number = math.nan
    if not least <= number <= most:
        limits = f" from {least:g} to {most:g}" if math.isfinite(least) and math.isfinite(most) else ""
        raise OptionError(f"{name}: expected a number{limits}, found {value!r:.80}")
    return number


def path_of(name: str, value: object) -> str:
    """``value`` as the path of a file; else `InputError`."""
    try:
        path = os.fsdecode(value)  # type: ignore[arg-type]
        if b"\0" not in os.fsencode(path):
            return path
    except (TypeError, UnicodeEncodeError):
        pass
    raise InputError(f"{name}: expected a path, found {type(value).__name__} {value!r:.80}")


def one_of(name: str, value: object, allowed: Iterable[str]) -> str:
    """``value`` if it is one of ``allowed``; else `OptionError`, which lists them in their order."""
    allowed = list(allowed)
    if isinstance(value, str) and value in allowed:
        return value
    raise OptionError(f"{name}: expected one of {', '.join(allowed)}, found {printed(value)}")


def check_id(value: object, where: str = "id") -> str:
    """``value`` if it can be an id: a non-empty string of valid Unicode without NUL."""
    if not isinstance(value, str):
        raise InputError(f"{where}: expected a non-empty string, found {type(value).__name__} {printed(value)}")
    if not value:
        raise InputError(f"{where}: expected a non-empty string, found an empty one")
    return check_text(value, where, allow_nul=False)


def check_text(value: object, where: str = "text", *, allow_nul: bool = True) -> str:
    """``value`` if it is a string of valid Unicode (no lone surrogate; no NUL unless allowed); else `InputError`."""
    if not isinstance(value, str):
        raise InputError(
            f"{where}: expected a string, found {type(value).__name__}; convert it with str() if that is meant"
        )
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InputError(
            f"{where}: lone surrogate U+{ord(value[error.start]):04X} at character {error.start} is not valid Unicode; "
            "repair the text with text.encode('utf-8', 'replace').decode()"
        ) from None
    if not allow_nul and "\0" in value:
        raise InputError(f"{where}: holds a NUL character at {value.index(chr(0))}; remove it")
    return value


def items_of(name: str, given: Any, noun: str = "string", *, ordered: bool = True) -> Iterable[Any]:
    """``given`` if it is several of what ``noun`` names, one after another; else `InputError`, which says what it is.

    What Python can iterate is refused where that gives something else: the characters of a string, the keys of a mapping,
    the names of a data frame's columns; and a set, whose order is nobody's, where the answer is to be in their order.
    """
    kind = type(given).__name__
    one = f"a {noun} or " if noun == "string" else ""
    wanted = f"{name}: expected {one}an iterable of {noun}s, found {kind}"
    if isinstance(given, str | bytes | bytearray | memoryview):
        raise InputError(f"{wanted}; put one {noun} in a list")
    if hasattr(given, "columns"):
        raise InputError(
            f"{wanted}, which gives the names of its columns; give one column, as frame['text'].tolist(), or its rows, as "
            "frame.to_dict('records'), where mappings are taken"
        )
    if isinstance(given, Mapping) or (hasattr(given, "keys") and not hasattr(given, "dtype")):
        raise InputError(f"{wanted}, which gives its keys; give its values, or put it in a list if it is one {noun}")
    if not isinstance(given, Iterable) or getattr(given, "ndim", 1) == 0:
        raise InputError(f"{wanted}; put one {noun} in a list")
    if ordered and isinstance(given, set | frozenset):
        raise InputError(f"{wanted}, which has no order; give a list, as sorted(...)")
    return given


def printed(value: object) -> str:
    """``value`` as Python shows it; its type where that cannot be (an integer of thousands of digits, a stranger's class)."""
    try:
        return repr(value)
    except Exception:
        return f"a value of the type {type(value).__name__}"
