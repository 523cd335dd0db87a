"""What became of an ingest's rows, in words, in JSON, and in the errors that end one."""

from __future__ import annotations

import copy
import json
import pickle

import pytest

from embedkit.errors import StoreError
from embedkit.ingestion.pipeline.report import IngestError, IngestInterrupted, IngestReport

REPORT = IngestReport("docs", read=2000, written=1500, unchanged=400, duplicates=60, dead=40, encoded=1490, seconds=4.0)


def test_in_json_it_is_a_line_with_every_field():
    told = json.loads(REPORT.to_json())
    assert "\n" not in REPORT.to_json()
    assert told == {
        "collection": "docs", "read": 2000, "written": 1500, "unchanged": 400, "duplicates": 60, "deleted": 0,
        "dead": 40, "removed": 0, "encoded": 1490, "truncated": 0, "seconds": 4.0, "encode_seconds": 0.0,
        "dead_letters": None, "documents_per_second": 500.0,
    }  # fmt: skip
    assert IngestReport("docs").documents_per_second == 0.0


def test_in_words_nothing_is_said_of_what_did_not_happen():
    plain = str(REPORT)
    assert plain.splitlines() == [
        "collection docs: 2,000 read, 1,500 written, 400 unchanged, 60 duplicates, 40 not usable",
        "1,490 texts encoded in 0.0 s; 4.0 s in all, 500 documents/s",
    ]
    whole = str(IngestReport("docs", deleted=3, removed=1234, truncated=5, dead_letters="docs.dead.jsonl"))
    for part in (", 3 deleted", "1,234 rows removed", "5 texts were longer", "reason of each: docs.dead.jsonl"):
        assert part in whole
        assert part not in plain


@pytest.mark.parametrize("error", [IngestError("the disk is full", REPORT), IngestInterrupted(REPORT)])
def test_what_ends_an_ingest_carries_the_report_across_processes(error):
    assert "1,500 rows were written and stay: run again to go on" in str(error)
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert (type(again), str(again), again.report) == (type(error), str(error), REPORT)


def test_each_is_caught_as_what_it_is():
    assert issubclass(IngestError, StoreError)
    assert issubclass(IngestInterrupted, KeyboardInterrupt)
    assert not issubclass(IngestInterrupted, Exception), "a bare `except Exception` does not swallow Ctrl-C"
