from __future__ import annotations

import json

import pytest

from embedkit.errors import InputError
from embedkit.ingestion import BadRow, DeadLetters


def letters(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_the_file_appears_with_the_first_bad_row(tmp_path):
    path = tmp_path / "x.dead.jsonl"
    with DeadLetters(path) as dead:
        assert not path.exists()
        dead.add(BadRow("docs.jsonl", 3, "broken JSON", '{"id": "é\\ud800"'))
        assert letters(path) == [
            {
                "source": "docs.jsonl",
                "line": 3,
                "id": None,
                "reason": "broken JSON",
                "row": '{"id": "é\\ud800"',
                "format": "",
                "document": None,
            }
        ]
        dead.add(BadRow("docs.jsonl", 4, "r", "lone \ud800 surrogate", "x"))
        dead.finish()
    assert len(letters(path)) == dead.count == 2


def test_it_reflects_the_last_run(tmp_path):
    path = tmp_path / "x.dead.jsonl"
    for reason in ("first run", "second run"):
        with DeadLetters(path) as dead:
            dead.add(BadRow("s", 1, reason, "row"))
            dead.finish()
    assert [letter["reason"] for letter in letters(path)] == ["second run"]
    with DeadLetters(path) as dead:
        dead.finish()
    assert not path.exists()


def test_a_run_that_was_cut_removes_nothing(tmp_path):
    path = tmp_path / "x.dead.jsonl"
    with DeadLetters(path) as dead:
        dead.add(BadRow("s", 1, "r", "row"))
    with DeadLetters(path):
        pass
    assert path.exists()


def test_it_never_replaces_another_file(tmp_path):
    other = tmp_path / "docs.jsonl"
    other.write_text('{"id": 1, "text": "mine"}\n')
    with pytest.raises(InputError, match="holds something else"):
        DeadLetters(other)
    with pytest.raises(InputError, match="holds something else"):
        DeadLetters(tmp_path)
    assert other.read_text() == '{"id": 1, "text": "mine"}\n'


def test_it_never_replaces_an_input(tmp_path):
    path = tmp_path / "x.dead.jsonl"
    with DeadLetters(path) as dead:
        dead.add(BadRow("s", 1, "r", "row"))
    with pytest.raises(InputError, match="one of the inputs"):
        DeadLetters(path, inputs=["-", str(path)])


def test_a_folder_that_is_not_there_is_named_at_once(tmp_path):
    with pytest.raises(InputError, match="choose another path"):
        DeadLetters(tmp_path / "none" / "x.jsonl")
