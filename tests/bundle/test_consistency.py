"""Parts of a manifest that do not fit together; what else is wrong in one: tests/faults/test_hostile_bundles.py."""

from __future__ import annotations

from typing import Any

import pytest

from embedkit import BundleError
from embedkit.bundle.consistency import check_values


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"a": [{"b": 2**63}]}, r"m: a\.0\.b: expected an integer of 64 bits, found one of 64"),
        ({"a": -(2**63)}, "m: a: expected an integer of 64 bits"),
        ({"a": float("-inf")}, "m: a: expected a finite number, found -inf"),
        (["\udfff"], "m: 0: expected valid Unicode"),
        ({"a": {"\ud800": 1}}, "m: a: a key: expected valid Unicode"),
    ],
)
def test_values_that_no_manifest_means(value: Any, message: str) -> None:
    with pytest.raises(BundleError, match=message):
        check_values(value, "m")


def test_values_that_may_be() -> None:
    check_values({"é": [2**63 - 1, -1, 1e308, None, True, "😀", {}]}, "m")
    deep: Any = 1
    for _ in range(100_000):
        deep = [deep]
    check_values(deep, "m")
    while isinstance(deep, list):  # an end of a list in a list in a list takes the stack of C
        deep = deep.pop()
