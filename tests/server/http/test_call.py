"""What is known of one request."""

from __future__ import annotations

from typing import Any

import numpy as np

from embedkit.runtime.outputs import Answer
from embedkit.server.http.call import Call


def test_the_clients_own_id_is_kept_where_it_is_one() -> None:
    def scope(id: bytes | None) -> dict[str, Any]:
        return {"headers": [] if id is None else [(b"x-request-id", id)]}

    assert Call.of(scope(b"abc-1")).id == "abc-1"
    for wrong in (b"", b"a b", b"x" * 200, b"\xff", b'"{', None):
        assert len(Call.of(scope(wrong)).id) == 32
    one = scope(None)
    assert Call.of(one) is Call.of(one)


def test_what_it_cost() -> None:
    call = Call("1")
    for waited in (0.1, 0.3):
        call.count(Answer(None, np.array([3, 4]), np.array([True, False]), waited, 0.2))
    assert (call.texts, call.tokens, call.truncated, call.waited, call.computed) == (4, 14, 2, 0.3, 0.2)
