"""``embedkit rerank``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from embedkit import Reranker
from embedkit.cli.entry import app
from helpers.small_bundles import DIM, eighths, with_logits

DOCUMENTS = ["the last boat had left", "a recipe for bread", "rain is expected"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return with_logits(tmp_path_factory.mktemp("judging") / "bundle", eighths(DIM, 1), pair=True)


def run(*arguments: str, code: int = 0) -> str:
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == code, done.output
    return done.output


def test_rerank(made: Path, tmp_path: Path) -> None:
    expected = Reranker.load(made).rank("is there bread", DOCUMENTS)
    rows = [json.loads(line) for line in run("rerank", str(made), "is there bread", *DOCUMENTS).splitlines()]
    assert [row["index"] for row in rows] == [one.index for one in expected]
    assert [row["score"] for row in rows] == pytest.approx([one.score for one in expected], abs=1e-6)
    assert [row["text"] for row in rows] == [one.document for one in expected]
    file = tmp_path / "documents.txt"
    file.write_text("\n".join(DOCUMENTS) + "\n")
    best = run("rerank", str(made), "is there bread", "--input", str(file), "-k", "1")
    assert json.loads(best) == rows[0]
    run("rerank", str(made), "a question", code=2)
    for options, said in ((["--variant", "none"], "variant 'none'"), (["--engine", "none"], "engine: expected")):
        done = CliRunner().invoke(app, ["rerank", str(made), "a question", *DOCUMENTS, *options])
        assert said in str(done.exception)
