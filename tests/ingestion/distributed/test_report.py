"""The account of a run."""

from __future__ import annotations

import json

from embedkit.ingestion.distributed.answers import BlockAnswer, BlockCounts
from embedkit.ingestion.distributed.letters import letter_box
from embedkit.ingestion.distributed.report import Account
from embedkit.ingestion.rows.row import BadRow


def test_blocks_add_up_and_bad_rows_are_kept(tmp_path):
    account = Account("docs", letter_box(tmp_path / "x.dead.jsonl", "run"), "texts")
    bad = [BadRow("f", 1, "no", "{", "a"), BadRow("f", 2, "no", "{")]
    first = BlockAnswer(BlockCounts(8, read=10, seconds=2.0, node="n1"), bad, [("a", "1"), ("b", "1")])
    assert account.take(first.table()) == 10
    account.take(BlockAnswer(BlockCounts(2, read=2, seconds=1.0, node="n2"), [], [("a", "2"), ("b", "1")]).table())
    report = account.report()
    account.close()
    assert (report.read, report.written, report.dead, report.conflicting) == (12, 10, 2, 1)
    assert account.nameless == 1
    assert report.nodes == {"n1": {"rows": 10, "rows_per_second": 5.0}, "n2": {"rows": 2, "rows_per_second": 2.0}}
    assert "node n1: 10 rows, 5 a second" in str(report)
    assert json.loads(report.to_json())["nodes"]["n2"]["rows"] == 2
    assert len((tmp_path / "x.dead.jsonl").read_text().splitlines()) == 2
