"""The time that a client gives its request."""

from __future__ import annotations

import pytest

from embedkit.server.http.failures import Refusal
from embedkit.server.http.limits import TIMEOUT_HEADER, Limits


def test_the_time_of_a_request() -> None:
    told: list[float | None] = []
    limits = Limits(begin=told.append)
    limits.set_timeout({TIMEOUT_HEADER: "1500"})
    limits.set_timeout({})
    assert told == [1.5, None]
    for wrong in ("", "-1", "1.5", "0", "abc", "9" * 50, "٣"):
        with pytest.raises(Refusal, match="milliseconds"):
            limits.set_timeout({TIMEOUT_HEADER: wrong})


def test_keys_are_not_shown() -> None:
    assert "secret" not in repr(Limits(("secret",)))
