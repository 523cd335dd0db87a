"""Small random changes of JSON values and of bytes, the same for the same seed."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from typing import Any

NUMBERS: list[Any] = [
    *(0, 1, -1, 2, 3, 7, 255, 2**31 - 1, 2**31, 2**32, 2**53, 2**63 - 1, 2**63, -(2**63) - 1, 2**64, 10**30, 10**400),
    *(0.0, -0.0, 1.0, 0.5, 1e308, 1e-320, float("nan"), float("inf"), float("-inf"), 64.0),
]
STRINGS = [
    *(
        "",
        " ",
        ".",
        "..",
        "a",
        "text",
        "default",
        "query.dense",
        "\0",
        "\ud800",
        "a\ud800",
        "é",
        "e\u0301",
        "\u202e",
        "\ufeff",
    ),
    *(
        "../x",
        "/etc/passwd",
        "a\\b",
        "C:x",
        "x" * 300,
        "x" * 20_000,
        "[...]",
        "$.towers",
        "a.b",
        "`",
        "{text}",
        "%s",
        "\n",
    ),
    *("fixed:1", "fixed:999999999999", "least:" + "9" * 5000, "first:" + "9" * 5000, "golden.npz", "embedkit.json"),
]
OTHERS: list[Any] = [None, True, False, [], {}, [[]], [None], {"": None}, {"a": {"a": {"a": 1}}}]


def places(value: Any, before: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The keys that lead to each value in a JSON value, itself first."""
    yield before
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield from places(value[key], (*before, key))


def at(value: Any, place: tuple[Any, ...]) -> Any:
    for key in place:
        value = value[key]
    return value


def changed_json(value: Any, rng: random.Random, *, most: int = 3) -> Any:
    """A copy of a JSON value with one change, or a few: values, keys, types, what is given twice or not at all."""
    made = copy.deepcopy(value)
    for _ in range(rng.choice([1] * 6 + list(range(1, most + 1)))):
        found = list(places(made))[1:]
        if not found:
            return rng.choice(OTHERS)
        # Equally likely at every depth: a vocabulary has more values than all else.
        depth = rng.choice(sorted({len(place) for place in found}))
        *above, key = rng.choice([place for place in found if len(place) == depth])
        holder = at(made, tuple(above))
        how = rng.randrange(8)
        if how == 0:
            del holder[key]
        elif how == 1 and isinstance(holder, dict):
            holder[rng.choice([*STRINGS, *holder])] = holder.pop(key)
        elif how == 2 and isinstance(holder, dict):
            holder[rng.choice(STRINGS)] = copy.deepcopy(holder[key])
        elif how == 3:
            holder[key] = copy.deepcopy(at(made, rng.choice(found)))
        elif how == 4 and isinstance(holder, list):
            holder.insert(0, copy.deepcopy(holder[key]))
        else:
            holder[key] = _other(holder[key], rng)
    return made


def _other(value: Any, rng: random.Random) -> Any:
    kinds: list[list[Any]] = [NUMBERS, list(STRINGS), OTHERS]
    if rng.random() < 0.7 and not isinstance(value, dict | list | None):
        if isinstance(value, bool):
            return not value
        return rng.choice(kinds[isinstance(value, str)])
    return copy.deepcopy(rng.choice(rng.choice(kinds)))


def changed_bytes(raw: bytes, rng: random.Random) -> bytes:
    """A copy of ``raw`` with one change, or a few: bits, bytes, pieces that are cut out, doubled or moved, the end cut off."""
    made = bytearray(raw)
    for _ in range(rng.choice([1, 1, 1, 2, 4, 16])):
        place = rng.randrange(len(made) + 1) if made else 0
        length = min(len(made) - place, rng.choice([1, 1, 2, 4, 8, 64]))
        how = rng.randrange(7)
        if how == 0 and place < len(made):
            made[place] ^= 1 << rng.randrange(8)
        elif how == 1:
            made[place : place + length] = rng.randbytes(length)
        elif how == 2:
            del made[place : place + length]
        elif how == 3:
            made[place:place] = made[place : place + length]
        elif how == 4:
            other = rng.randrange(len(made) + 1)
            made[place : place + length] = made[other : other + length]
        elif how == 5:
            made[place:place] = rng.choice([b"\xff", b"\0", b"\xc3", b"\xed\xa0\x80", b"9" * 40, b'"', b"\x80" * 12])
        elif rng.random() < 0.3:
            del made[place:]
    return bytes(made)
