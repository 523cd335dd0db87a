"""Portable filter expressions over metadata: ``(F("year") >= 2020) & F("lang").is_in(["en", "de"])``.

Semantics, the same on every store (two-valued, so that ``~`` is exact):

* A field is addressed by its top-level metadata key.
* ``==`` holds where the value is equal; a missing field equals nothing.
* ``!=`` is exactly ``~(==)``: it also holds where the field is missing. ``not_in`` is exactly ``~(is_in)``. An empty list
  holds no value: ``is_in([])`` holds nowhere, ``not_in([])`` everywhere.
* ``exists`` holds where the field is present, whatever its value, None included. ``F("x") == None`` is ``is_none``: it
  holds where the field is present and None.
* ``< <= > >=`` hold only where the field is present and of the operand's kind (number with number, text with text).
* bool is not a number: ``True`` never equals ``1``. Numbers compare by value, whatever their type; beyond 2**53 a
  store may round them to doubles under ``< <= > >=``.
* A datetime or date is the number `embedkit.records.timestamp` gives, in the filter as in the metadata. NaT and NA are None.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Any, Literal, TypeAlias

from embedkit.checks import printed
from embedkit.errors import FilterError, InputError

from .metadata import plain_number
from .scalars import is_missing, plain, timestamp

Scalar: TypeAlias = str | int | float | bool
OPS_WITHOUT_VALUE: frozenset[str] = frozenset({"exists", "none"})
Op: TypeAlias = Literal["==", "!=", "<", "<=", ">", ">=", "in", "not in", "exists", "none", "and", "or", "not"]
OPS: frozenset[str] = OPS_WITHOUT_VALUE | {"==", "!=", "<", "<=", ">", ">=", "in", "not in", "and", "or", "not"}

_NEGATED: dict[str, Op] = {"==": "!=", "!=": "==", "in": "not in", "not in": "in"}
ORDERINGS: frozenset[str] = frozenset({"<", "<=", ">", ">="})


class Filter:
    """Base of the three nodes ``Compare``, ``Combine`` and ``Not``; combine them with ``&``, ``|`` and ``~``."""

    def __and__(self, other: Filter) -> Filter:
        return _joined("and", self, _checked(other))

    def __or__(self, other: Filter) -> Filter:
        return _joined("or", self, _checked(other))

    def __invert__(self) -> Filter:
        return Not(self)

    def __bool__(self) -> bool:
        raise FilterError("a filter has no truth value: combine filters with & | ~ instead of and, or, not")

    def matches(self, metadata: Mapping[str, Any]) -> bool:
        """Whether the fields, as `embedkit.records.filterable` gives them, satisfy the filter: the reference that every
        store is tested against."""
        raise NotImplementedError

    def ops(self) -> frozenset[str]:
        """The operators used anywhere in the expression."""
        raise NotImplementedError

    def leaves(self) -> Iterator[Compare]:
        """The comparisons in the expression, from left to right."""
        raise NotImplementedError


@dataclass(frozen=True, eq=True)
class Compare(Filter):
    """One comparison of a field with a scalar, with a tuple of scalars for ``in`` and ``not in``, or with nothing for
    ``exists`` and ``none``; made by `F`.

    A number is what `embedkit.records.plain_number` gives: a float here is no whole number, or one beyond 64 bits.
    """

    field: str
    op: Op
    value: Scalar | tuple[Scalar, ...] = True

    def matches(self, metadata: Mapping[str, Any]) -> bool:
        """See `Filter.matches`."""
        found = metadata.get(self.field)
        if self.op == "exists":
            return self.field in metadata
        if self.op == "none":
            return self.field in metadata and found is None
        if self.op == "==":
            return _equal(found, self.value)
        if self.op == "!=":
            return not _equal(found, self.value)
        if self.op in ("in", "not in"):
            kind = _kind(found)
            return (kind != "other" and (kind, found) in self._listed) == (self.op == "in")
        if not _comparable(found, self.value):
            return False
        left: Any = found
        right: Any = self.value
        if self.op == "<":
            return bool(left < right)
        if self.op == "<=":
            return bool(left <= right)
        if self.op == ">":
            return bool(left > right)
        return bool(left >= right)

    @cached_property
    def _listed(self) -> frozenset[tuple[str, Scalar]]:
        assert isinstance(self.value, tuple)
        return frozenset((_kind(value), value) for value in self.value)

    def ops(self) -> frozenset[str]:
        """See `Filter.ops`."""
        return frozenset({self.op})

    def leaves(self) -> Iterator[Compare]:
        """See `Filter.leaves`."""
        yield self


@dataclass(frozen=True, eq=True)
class Combine(Filter):
    """``and`` or ``or`` of two or more filters."""

    op: Literal["and", "or"]
    parts: tuple[Filter, ...]

    def matches(self, metadata: Mapping[str, Any]) -> bool:
        """See `Filter.matches`."""
        found = (part.matches(metadata) for part in self.parts)
        return all(found) if self.op == "and" else any(found)

    def ops(self) -> frozenset[str]:
        """See `Filter.ops`."""
        return frozenset({self.op}).union(*(part.ops() for part in self.parts))

    def leaves(self) -> Iterator[Compare]:
        """See `Filter.leaves`."""
        for part in self.parts:
            yield from part.leaves()


@dataclass(frozen=True, eq=True)
class Not(Filter):
    """The exact complement of a filter."""

    part: Filter

    def matches(self, metadata: Mapping[str, Any]) -> bool:
        """See `Filter.matches`."""
        return not self.part.matches(metadata)

    def ops(self) -> frozenset[str]:
        """See `Filter.ops`."""
        return frozenset({"not"}) | self.part.ops()

    def leaves(self) -> Iterator[Compare]:
        """See `Filter.leaves`."""
        yield from self.part.leaves()


class F:
    """A metadata field, to be compared: ``F("year") >= 2020``."""

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, field: str) -> None:
        if not isinstance(field, str) or not field:
            raise FilterError(f"a filter field must be a non-empty string, found {printed(field)}")
        self._field = field

    def _compare(self, op: Op, value: object) -> Filter:
        return Compare(self._field, op, _scalar(self._field, op, value))

    def __eq__(self, value: object) -> Filter:  # type: ignore[override]
        return self.is_none() if _is_none(value) else self._compare("==", value)

    def __ne__(self, value: object) -> Filter:  # type: ignore[override]
        return Not(self.is_none()) if _is_none(value) else self._compare("!=", value)

    def __lt__(self, value: object) -> Filter:
        return self._compare("<", value)

    def __le__(self, value: object) -> Filter:
        return self._compare("<=", value)

    def __gt__(self, value: object) -> Filter:
        return self._compare(">", value)

    def __ge__(self, value: object) -> Filter:
        return self._compare(">=", value)

    def is_in(self, values: Iterable[object]) -> Filter:
        """Holds where the field equals one of ``values``, of which one may be None; nowhere where there are none."""
        listed = _values(values)
        some = tuple(_scalar(self._field, "in", value) for value in listed if not _is_none(value))
        if len(some) == len(listed):
            return Compare(self._field, "in", some)
        return self.is_none() | Compare(self._field, "in", some) if some else self.is_none()

    def not_in(self, values: Iterable[object]) -> Filter:
        """The exact complement of `is_in`: also holds where the field is missing."""
        return push_down_not(Not(self.is_in(values)))

    def exists(self) -> Filter:
        """Holds where the field is present, None included."""
        return Compare(self._field, "exists")

    def is_none(self) -> Filter:
        """Holds where the field is present and None."""
        return Compare(self._field, "none")


def push_down_not(expression: Filter) -> Filter:
    """The same filter with ``not`` moved inwards as far as it can be.

    De Morgan's laws and ``not ==`` is ``!=`` are exact; a ``not`` over an ordering stays, because a row without the
    field satisfies it and no single comparison does; so does one over ``exists`` and ``none``.
    """
    if isinstance(expression, Combine):
        return Combine(expression.op, tuple(push_down_not(part) for part in expression.parts))
    if not isinstance(expression, Not):
        return expression
    inner = expression.part
    if isinstance(inner, Not):
        return push_down_not(inner.part)
    if isinstance(inner, Combine):
        return Combine("or" if inner.op == "and" else "and", tuple(push_down_not(Not(part)) for part in inner.parts))
    assert isinstance(inner, Compare)
    return Compare(inner.field, _NEGATED[inner.op], inner.value) if inner.op in _NEGATED else expression


def depth(expression: Filter) -> int:
    """The levels of an expression, of which a comparison is one."""
    levels, below = 0, [expression]
    while below:
        levels += 1
        below = [
            part
            for node in below
            for part in (node.parts if isinstance(node, Combine) else (node.part,) if isinstance(node, Not) else ())
        ]
    return levels


def simplified(expression: Filter) -> Filter | bool:
    """The same filter without comparisons with an empty list, which hold nowhere or everywhere; True or False where
    they settle the whole of it."""
    if isinstance(expression, Compare):
        return expression.op == "not in" if expression.value == () else expression
    if isinstance(expression, Not):
        inner = simplified(expression.part)
        return not inner if isinstance(inner, bool) else Not(inner)
    assert isinstance(expression, Combine)
    parts = [simplified(part) for part in expression.parts]
    decisive = expression.op == "or"
    if any(part is decisive for part in parts):
        return decisive
    kept = tuple(part for part in parts if isinstance(part, Filter))
    if len(kept) > 1:
        return Combine(expression.op, kept)
    return kept[0] if kept else not decisive


def _joined(op: Literal["and", "or"], left: Filter, right: Filter) -> Filter:
    """Both, without nesting where one is of the same kind: a chain of thousands stays shallow."""
    parts = [part.parts if isinstance(part, Combine) and part.op == op else (part,) for part in (left, right)]
    return Combine(op, parts[0] + parts[1])


def _checked(other: object) -> Filter:
    if not isinstance(other, Filter):
        raise FilterError(f"a filter can be combined with another filter only, found {type(other).__name__}")
    return other


def _values(values: Iterable[object]) -> list[object]:
    if isinstance(values, str | bytes) or not isinstance(values, Iterable) or getattr(values, "shape", None) == ():
        raise FilterError(f"is_in and not_in take a list of values, found {printed(values)}")
    try:
        return list(values)
    except TypeError:  # an array of no dimension
        raise FilterError(f"is_in and not_in take a list of values, found {printed(values)}") from None


def _is_none(value: object) -> bool:
    return value is None or is_missing(value)


def _scalar(field: str, op: str, value: object) -> Scalar:
    try:
        value = plain(value)
        if isinstance(value, date):
            value = timestamp(value)
    except InputError as error:
        raise FilterError(f"F({field!r}) {op}: {error}") from None
    if hasattr(value, "item") and getattr(value, "ndim", None) == 0:
        value = value.item()
    if not isinstance(value, str | int | float | bool) or (isinstance(value, float) and not math.isfinite(value)):
        raise FilterError(
            f"F({field!r}) {op} takes text, a finite number, a bool, a datetime or a date, found {printed(value)}"
        )
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise FilterError(
            f"F({field!r}) {op} takes an integer of at most 64 bits, found {printed(value)}; no larger one can be filtered on"
        )
    if op in ORDERINGS and isinstance(value, bool):
        raise FilterError(f"F({field!r}) {op} cannot order a bool; use == or !=")
    return plain_number(value) if isinstance(value, float) else value


def _kind(value: object) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int | float):
        return "number"
    return "text" if isinstance(value, str) else "other"


def _comparable(found: object, value: object) -> bool:
    return _kind(found) == _kind(value) != "other"


def _equal(found: object, value: object) -> bool:
    return _comparable(found, value) and found == value
