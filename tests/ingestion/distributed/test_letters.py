"""Dead letters as a data set."""

from __future__ import annotations

import json

import pytest
from pyarrow import parquet

from embedkit.errors import OptionError
from embedkit.ingestion.distributed.letters import LetterFolder, letter_box
from embedkit.ingestion.rows.dead_letters import DeadLetters
from embedkit.ingestion.rows.row import BadRow
from embedkit.records.documents import Document

BAD = BadRow("f", 3, "lone \ud83d", "raw", "a", document=Document("a", "text", {"n": 1}))


def test_bad_rows_are_a_table(tmp_path):
    box = letter_box(tmp_path / "dead", "run1")
    box.add(BAD)
    box.add(BadRow("f", 4, "broken", "{"))
    box.finish()
    rows = parquet.read_table(tmp_path / "dead").to_pylist()
    assert [(row["id"], row["line"], row["run_id"]) for row in rows] == [("a", 3, "run1"), (None, 4, "run1")]
    assert rows[0]["reason"] == "lone \\ud83d"
    assert json.loads(rows[0]["document"]) == {"id": "a", "text": "text", "metadata": {"n": 1}}


def test_a_run_leaves_its_own_alone(tmp_path):
    for run in ("run1", "run2"):
        box = LetterFolder(str(tmp_path / "dead"), run)
        box.add(BAD)
        box.finish()
    assert parquet.read_table(tmp_path / "dead")["run_id"].to_pylist() == ["run2"]
    LetterFolder(str(tmp_path / "dead"), "run3").finish()
    assert list((tmp_path / "dead").iterdir()) == []


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("kept")
    with pytest.raises(OptionError, match="something else"):
        LetterFolder(str(tmp_path), "run")


def test_a_file_is_the_one_of_an_ingest(tmp_path):
    assert isinstance(letter_box(tmp_path / "docs.dead.jsonl", "run"), DeadLetters)
