"""How often a row was begun and not ended."""

from __future__ import annotations

from embedkit.ingestion.distributed.attempts import Tries


def test_what_has_ended_counts_from_nothing_again():
    tries = Tries()
    assert [tries.begin([b"a"]), tries.begin([b"a", b"b"])] == [[0], [1, 0]]
    tries.end([b"a", b"never begun"])
    assert tries.begin([b"a", b"b"]) == [0, 1]


def test_a_block_counts_once_for_its_rows_and_each_time_that_a_row_is_alone_counts():
    tries = Tries()
    assert tries.begin([b"a", b"b", b"b"]) == [0, 0, 0]
    for _ in range(3):
        assert tries.begin([b"b", b"a"]) == [1, 1]
    assert [tries.alone(b"a") for _ in range(3)] == [1, 2, 3]
    assert tries.begin([b"a", b"b"]) == [4, 1]
    assert tries.alone(b"new") == 0
