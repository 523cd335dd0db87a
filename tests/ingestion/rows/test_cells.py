"""A value as the text or the id that it stands for."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from embedkit.ingestion.rows.cells import as_id, as_text
from embedkit.system.files.lines import NotText


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("text", "text"),
        (b"caf\xc3\xa9", "café"),
        (bytearray(b"a"), "a"),
        (memoryview(b"a"), "a"),
        (np.bytes_(b"a"), "a"),
        (np.str_("a"), "a"),
        (None, None),
        (float("nan"), None),
        (np.float32("nan"), None),
        (np.datetime64("NaT"), None),
        (np.int64(3), 3),
        (1.5, 1.5),
        ([1], [1]),
    ],
)
def test_text(value: Any, expected: Any) -> None:
    assert as_text(value) == expected


@pytest.mark.parametrize("value", [b"\xff", bytearray(b"a\xc3"), np.bytes_(b"\xfe\xff")])
def test_bytes_that_are_no_utf_8(value: Any) -> None:
    for convert in (as_text, as_id):
        with pytest.raises(NotText, match="not valid UTF-8: byte 0x"):
            convert(value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (12, "12"),
        (12.0, "12"),
        (-0.0, "0"),
        (-3.0, "-3"),
        (np.float32(7), "7"),
        (np.int8(-1), "-1"),
        (Decimal("12.00"), "12"),
        (2.0**53 - 1, "9007199254740991"),
        (10**30, "1" + "0" * 30),
        (b"a", "a"),
        (float("nan"), None),
    ],
)
def test_ids(value: Any, expected: Any) -> None:
    assert as_id(value) == expected


@pytest.mark.parametrize(
    "value", [1.5, 2.0**53, 1e300, float("inf"), Decimal("1.5"), Decimal("Infinity"), True, date(2024, 5, 1)]
)
def test_what_is_no_id_stays_what_it_is(value: Any) -> None:
    assert as_id(value) is value


def test_an_integer_of_more_digits_than_python_writes_is_no_id() -> None:
    assert as_id(10**5000) == 10**5000
