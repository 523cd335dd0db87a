"""A head on two stored vectors, as a recipe names it."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from embedkit.errors import InputError

Feature = Literal["left", "right", "product", "difference"]


class Pair(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """What a head for pairs reads of the vectors u and v, one after another, and the stages on that: ``left`` u, ``right`` v,
    ``product`` u * v, ``difference`` abs(u - v)."""

    stages: list[Any]
    features: list[Feature] = msgspec.field(default_factory=lambda: ["left", "right", "product", "difference"])


def checked_pair(given: Any) -> Pair:
    """A `Pair` from a table or itself."""
    if isinstance(given, Pair):
        return given
    try:
        return msgspec.convert(given, Pair)
    except msgspec.ValidationError as error:
        raise InputError(f"pair: {error}; found {given!r:.120}") from None
