"""``embedkit classify``."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from embedkit import Classifier
from embedkit.cli.entry import app
from helpers.small_bundles import DIM, eighths, with_logits

DOCUMENTS = ["the last boat had left", "a recipe for bread", "rain is expected"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return with_logits(tmp_path_factory.mktemp("judging") / "bundle", eighths(DIM, 3) / 8)


def run(*arguments: str, code: int = 0) -> str:
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == code, done.output
    return done.output


def test_classify(made: Path) -> None:
    classifier = Classifier.load(made)
    rows = [json.loads(line) for line in run("classify", str(made), *DOCUMENTS).splitlines()]
    assert [row["class"] for row in rows] == classifier.predict(DOCUMENTS)
    found = [list(row["probabilities"].values()) for row in rows]
    assert np.abs(np.array(found) - classifier.predict_proba(DOCUMENTS)).max() < 1e-6
    assert list(rows[0]["probabilities"]) == classifier.labels
    for command in ("rerank", "classify"):
        assert "Examples" in run(command, "--help")
