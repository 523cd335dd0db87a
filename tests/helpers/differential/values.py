"""Ids, texts, metadata and filters of any kind, by chance."""

from __future__ import annotations

import math
import random
import struct
import unicodedata
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import numpy as np

from embedkit.records.filters import ORDERINGS, Combine, Compare, F, Filter, Not
from embedkit.testing.samples import comparison

FIELDS = ["x", "y", "z", "a.b", "a", 'it\'s "odd" [0] $é', "$and", "meta.x", "n", "Ä", "%s", "\x01\x02"]
ABSENT = "absent"
_PIECES = [
    "a", "b", "Z", "0", "9", " ", "  ", "'", '"', "''", "\\", "\\\\", "`", "%", "%s", "_", "$", "{}", "[0]", "?", "--", ";", "/*",
    "\n", "\r\n", "\t", "\0", "\x01", "\x01\x01", "\x01\x02", "\x02", "\x7f", "\x85", "\u2028", "\ufeff", "\ufffd", "\uffff",
    "é", "e\u0301", "ß", "İ", "\u0130", "日本", "🎉", "\U0001f3f3\ufe0f\u200d\U0001f308", "\U0010ffff", "\u202e", "null", "None", "NaN", "true",
    "1", "1.0", "-0", "1e3", "2024-05-01", "\\u0000", "\\x00", "&amp;", "<b>", "\u00a0", "\u1e9b\u0323", "\ud7ff", "\ue000",
]  # fmt: skip
_ALIKE = [
    ["é", "e\u0301", "É", "E\u0301", "ß", "ss", "İ", "i\u0307"],
    ["\uffff", "\U00010000", "\ue000", "\U0010ffff", "\ud7ff", "z"],
    ["x" * 255, "x" * 300, "x" * 300 + "y", "x" * 300 + "z"],
    ["1", "1.0", "01", "2024-05-01", "2024-05-01T00:00:00", "true", "True", ""],
]
"""Strings that are equal, or come in another order, where a database changes or cuts off what it compares."""
_ZONES = [
    None,
    UTC,
    *(timezone(timedelta(minutes=m)) for m in (-1439, -210, 60, 330, 1439)),
    timezone(timedelta(seconds=3725)),
]


def text(rng: random.Random, *, nul: bool = True) -> str:
    """A string that is not empty; without NUL where an id is wanted."""
    if rng.random() < 0.02:
        return rng.choice("aé日🎉'\\\x01") * rng.choice([255, 256, 1_000, 4_096, 70_000 if nul else 2_000])
    made = "".join(rng.choices(_PIECES, k=rng.choice([1, 1, 1, 2, 3, 5])))
    return (made if nul else made.replace("\0", "")) or "a"


def beside(rng: random.Random, found: str) -> str:
    """Another string that databases have taken for ``found``: of other case, form or length, or with spaces around it."""
    changed = [
        *(
            found.swapcase(),
            found.lower(),
            found.strip(),
            f"{found} ",
            f" {found}",
            f"0{found}",
            f"{found}\n",
            f"{found}a",
            found[:-1],
        ),
        *(unicodedata.normalize(form, found) for form in ("NFC", "NFD", "NFKC")),  # type: ignore[arg-type]
    ]
    return rng.choice(changed) or "a"


def number(rng: random.Random) -> int | float:
    """A number within 64 bits, or a finite float; often one beside a power of two, where types round."""
    kind = rng.randrange(8)
    if kind < 3:
        return rng.choice([0, 1, 2, 3, -1, -3, 1.0, 2.0, 2.5, -0.0, 0.5, -2.5, 1 / 3, 0.1, 7])
    if kind < 5:
        near = rng.choice([2**53, -(2**53), 2**63, -(2**63), 2**62, 2**31, 2**32, 10**15]) + rng.choice(
            [-1025, -1024, -513, -512, -511, -2, -1, 0, 1, 2, 3]
        )
        return near if rng.random() < 0.7 and -(2**63) <= near < 2**63 else float(near)
    if kind == 5:
        return rng.choice(
            [1e-320, -1e-320, 5e-324, 2.2250738585072014e-308, 1e300, -1e300, 1.7976931348623157e308, 1e22, 1e16]
        )
    if kind == 6:
        near_ = float(rng.choice([2**53, 2**63, -(2**63), 1, 3, 2**64]))
        return math.nextafter(near_, rng.choice([math.inf, -math.inf]))
    found = struct.unpack("<d", rng.randbytes(8))[0]
    return found if math.isfinite(found) else rng.randint(-(2**63), 2**63 - 1)


def moment(rng: random.Random) -> date:
    """A date, or a datetime with a zone or without one, of the years 1 to 9999."""
    year = rng.choice([1, 2, 1582, 1900, 1969, 1970, 2024, 9998, 9999])
    month, day = rng.choice([(1, 1), (2, 28), (5, 1), (12, 31)])
    if rng.random() < 0.3:
        return date(year, month, day)
    clock = rng.choice([(0, 0, 0, 0), (0, 0, 0, 1), (23, 59, 59, 999_999), (12, 30, 0, 500_000)])
    return datetime(year, month, day, *clock, tzinfo=rng.choice(_ZONES))


def scalar(rng: random.Random) -> Any:
    """What can be filtered on, but None."""
    kind = rng.randrange(10)
    if kind < 5:
        return number(rng)
    if kind < 8:
        return rng.choice(["", "1", "true", "a", "A", "ä", text(rng), text(rng), rng.choice(rng.choice(_ALIKE))])
    return rng.choice([True, False]) if kind == 8 else moment(rng)


def value(rng: random.Random, depth: int = 2) -> Any:
    """Anything that metadata can hold."""
    kind = rng.randrange(16)
    if kind < 10:
        return scalar(rng)
    if kind == 10:
        return None
    if kind == 11:
        return rng.choice([2**63, -(2**63) - 1, 2**64, 10**40, -(10**30), math.nan, math.inf, -math.inf])
    if kind == 12:
        return rng.choice(
            [np.int64(7), np.float32(0.1), np.bool_(True), np.str_("s"), np.datetime64("2024-05-01T00:00:00.000001")]
        )
    if kind < 15 and depth:
        items = [value(rng, depth - 1) for _ in range(rng.randrange(4))]
        return tuple(items) if kind == 14 and rng.random() < 0.3 else items
    if depth:
        return {
            rng.choice([*FIELDS, "", "$embedkit", text(rng)]): value(rng, depth - 1) for _ in range(rng.randrange(4))
        }
    return rng.choice([[], {}])


def favourites(rng: random.Random) -> list[Any]:
    """Values that the rows of a sequence have often, so that its filters meet those that are beside each other; at times none."""
    kind = rng.randrange(4)
    if kind == 0:
        return rng.choice(_ALIKE)
    if kind == 1:
        near = rng.choice([2**53, -(2**53), 2**62, 10**15, 2**63 - 1025])
        return [near + step for step in range(-1, 4)] + [float(near), math.nextafter(float(near), math.inf)]
    return []


def metadata(rng: random.Random, often: Sequence[Any] = ()) -> dict[str, Any]:
    """Some fields that filters ask for, one with a value that comes ``often``, at times one of another name."""
    found = {field: value(rng) for field in rng.sample(FIELDS, rng.choice([0, 1, 2, 3, 5]))}
    if often and rng.random() < 0.7:
        found[FIELDS[0]] = rng.choice(often)
    if rng.random() < 0.1:
        found[rng.choice(["", "id", "vector", "embedkit.hash", "$embedkit", text(rng)])] = value(rng)
    if rng.random() < 0.02:
        found[rng.choice(FIELDS)] = rng.choice(["\ud800", b"bytes", {1: 2}, {"a": ["\udfff"]}, {1, 2}, 1j])
    return found


def expression(rng: random.Random, known: Sequence[tuple[str, Any]], depth: int = 4) -> Filter:
    """A filter of at most ``depth`` levels; what it asks for are often ``known`` fields and values, or what is beside them."""
    kind = rng.choice(["compare", "compare", "presence", "and", "or", "not"]) if depth else "compare"
    if kind == "not":
        return Not(expression(rng, known, depth - 1))
    if kind in ("and", "or"):
        parts = tuple(expression(rng, known, depth - 1) for _ in range(rng.randint(2, 4)))
        return Combine("and" if kind == "and" else "or", parts)
    field = rng.choice(known)[0] if known and rng.random() < 0.5 else rng.choice([*FIELDS, ABSENT])
    if kind == "presence":
        return F(field).exists() if rng.random() < 0.5 else F(field).is_none()
    op = rng.choice(["==", "!=", "<", "<=", ">", ">=", "in", "not in"])
    there = [value for name, value in known if name == field or rng.random() < 0.05]
    if op in ("in", "not in"):
        some: list[Any] = [_asked(rng, there) for _ in range(rng.choice([0, 1, 2, 3, 8]))]
        return comparison(field, op, [*some, None] if rng.random() < 0.1 else some)
    asked = _asked(rng, there)
    while op in ORDERINGS and isinstance(asked, bool):
        asked = _asked(rng, there)
    found = comparison(field, op, asked)
    assert isinstance(found, Compare)
    return found


def _asked(rng: random.Random, known: Sequence[Any]) -> Any:
    found = rng.choice(known) if known and rng.random() < 0.8 else scalar(rng)
    if isinstance(found, str) and not _is_unicode(found):
        return "a"
    if rng.random() < 0.3:
        found = _beside(rng, found)
    fits = isinstance(found, str | bool | date) or (isinstance(found, int | float) and math.isfinite(found))
    if not fits or (isinstance(found, int) and not -(2**63) <= found < 2**63):
        return scalar(rng)
    return found


def _beside(rng: random.Random, found: Any) -> Any:
    """What types that round, cut off or change would take for ``found``."""
    if isinstance(found, str):
        return beside(rng, found) if rng.random() < 0.5 else rng.choice(rng.choice(_ALIKE))
    if isinstance(found, bool):
        return rng.choice([int(found), not found, str(found)])
    if isinstance(found, int):
        return rng.choice([found - 1, found + 1, found ^ 1, float(found) if abs(found) < 2**1023 else 0.0])
    if isinstance(found, float) and math.isfinite(found):
        return rng.choice(
            [math.nextafter(found, math.inf), math.nextafter(found, -math.inf), int(found), found * (1 + 1e-9)]
        )
    if isinstance(found, datetime) and 1 < found.year < 9999:
        return rng.choice([found + datetime.resolution, found.replace(tzinfo=None), found.date()])
    return found


def _is_unicode(found: str) -> bool:
    return not any(0xD800 <= ord(character) <= 0xDFFF for character in found)
