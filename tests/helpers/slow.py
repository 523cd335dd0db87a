"""Cases of one kind, of which a quick run takes some: the others are marked ``slow``."""

from __future__ import annotations

from collections.abc import Container, Iterable
from typing import Any

import pytest


def but(quick: Container[Any], cases: Iterable[Any]) -> list[Any]:
    """The cases for `pytest.mark.parametrize`, all but the ``quick`` ones (by the first of several values) marked as slow."""
    found = []
    for case in cases:
        values = case if isinstance(case, tuple) else (case,)
        found.append(case if values[0] in quick else pytest.param(*values, marks=pytest.mark.slow))
    return found
