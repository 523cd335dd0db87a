"""What a worker gives back, there and back again."""

from __future__ import annotations

from embedkit.ingestion.distributed.answers import BlockAnswer, BlockCounts, answer_lines
from embedkit.ingestion.rows.row import BadRow


def test_what_a_worker_says_is_read_as_it_was_said():
    bad = BadRow("f", 3, "lone \ud83d surrogate", "\udcff", "an id \ud83d")
    answer = BlockAnswer(BlockCounts(3, read=4, node="n"), [bad], [("é", "hash")])
    assert list(answer_lines(answer.table())) == [answer.counts, bad, ("é", "hash")]


def test_counts_add_up():
    total = BlockCounts()
    total.add(BlockCounts(1, 2, 3, 4, 0.5, 6, 7, 8, 1.5))
    total.add(BlockCounts(1, 2, 3, 4, 0.5, 6, 7, 8, 1.5))
    assert total == BlockCounts(2, 4, 6, 8, 1.0, 12, 14, 16, 3.0)
