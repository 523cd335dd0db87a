"""How often something was begun and not ended."""

from __future__ import annotations

from embedkit.ingestion.distributed.attempts import Tries


def test_what_has_ended_counts_from_nothing_again():
    tries = Tries()
    assert [tries.begin("a"), tries.begin("a"), tries.begin("b")] == [0, 1, 0]
    tries.end("a")
    tries.end("never begun")
    assert (tries.begin("a"), tries.begin("b")) == (0, 1)
