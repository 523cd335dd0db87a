"""The classes of a query's nearest stored rows, each with its weight."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

from embedkit.checks import items_of, positive, real
from embedkit.errors import InputError, OptionError
from embedkit.records.documents import Hit

_LARGEST = 700.0
"""Of an exponent, about: that of the largest float."""


def knn(
    hits: Iterable[Hit],
    *,
    temperature: float,
    k: int | None = None,
    label: str | Callable[[Hit], str] = "label",
) -> dict[str, float]:
    """The weight of each class among the nearest rows: the sum of exp(score / ``temperature``) over its rows (Wu et al. 2018); the
    heaviest class first, of equal ones that of the nearest row.

    Args:
        hits: what `embedkit.search` found, with scores by cosine or dot product.
        temperature: the smaller, the more the nearest count; 0.07 is usual for cosines.
        k: how many of them count, the nearest first; all by default.
        label: the field of metadata that holds a row's class, or what gives it of a hit.

    Raises:
        InputError: no hits, or one without a class.
        OptionError: a temperature that is not above 0, or so small that a weight would be infinite.
    """
    if real("temperature", temperature, least=0.0) == 0.0:
        raise OptionError("temperature: expected a number above 0, found 0")
    if k is not None:
        positive("k", k)
    nearest = sorted(items_of("hits", hits, "hit"), key=lambda hit: -hit.score)[:k]
    if not nearest:
        raise InputError("hits: expected at least one, found none; search in a collection that holds labelled rows")
    if max(hit.score for hit in nearest) / temperature > _LARGEST:
        raise OptionError(
            f"temperature: expected one by which a score of {nearest[0].score:g} has a weight that is a number, found {temperature!r}; "
            "give a larger one"
        )
    votes: dict[str, float] = {}
    for hit in nearest:
        name = label(hit) if callable(label) else hit.metadata.get(label)
        if isinstance(name, bool) or not isinstance(name, str | int):
            raise InputError(
                f"hit {hit.id!r}: expected a text or an integer as its class in the field {label!r}, found {name!r:.60}"
            )
        votes[str(name)] = votes.get(str(name), 0.0) + math.exp(hit.score / temperature)
    return {name: votes[name] for name in sorted(votes, key=lambda name: -votes[name])}
