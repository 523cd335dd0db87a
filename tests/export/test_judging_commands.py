"""``embedkit rerank`` and ``embedkit classify`` on real bundles."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

pytest.importorskip("torch")

import embedkit_export
from embedkit import Classifier, Reranker
from embedkit.cli.entry import app
from helpers import models, systems

DOCUMENTS = ["the last boat had left", "a recipe for bread", "rain is expected"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("judging")
    out = {}
    for kind, labels in (("reranker", 1), ("classifier", 3)):
        model = models.save("bert", folder / kind, head="ForSequenceClassification", num_labels=labels)
        report = embedkit_export.export(
            model,
            output=folder / f"{kind}-bundle",
            kind=kind,
            variants=("fp32",),
            timing=False,
            max_tokens=32,
            sample=systems.sample(folder, ("query", "document") if kind == "reranker" else ("text",)),
        )
        out[kind] = report.path
    return out


def run(*arguments: str, input: str | None = None, code: int = 0) -> str:
    done = CliRunner().invoke(app, arguments, input=input)
    assert done.exit_code == code, done.output
    return done.output


def test_rerank(made: dict[str, Path], tmp_path: Path) -> None:
    expected = Reranker.load(made["reranker"]).rank("is there bread", DOCUMENTS)
    rows = [
        json.loads(line) for line in run("rerank", str(made["reranker"]), "is there bread", *DOCUMENTS).splitlines()
    ]
    assert [row["index"] for row in rows] == [one.index for one in expected]
    assert [row["score"] for row in rows] == pytest.approx([one.score for one in expected], abs=1e-6)
    assert [row["text"] for row in rows] == [one.document for one in expected]
    file = tmp_path / "documents.txt"
    file.write_text("\n".join(DOCUMENTS) + "\n")
    best = run("rerank", str(made["reranker"]), "is there bread", "--input", str(file), "-k", "1")
    assert json.loads(best) == rows[0]
    run("rerank", str(made["reranker"]), "a question", code=2)
    for options, said in ((["--variant", "none"], "variant 'none'"), (["--engine", "none"], "engine: expected")):
        done = CliRunner().invoke(app, ["rerank", str(made["reranker"]), "a question", *DOCUMENTS, *options])
        assert said in str(done.exception)


def test_classify(made: dict[str, Path]) -> None:
    classifier = Classifier.load(made["classifier"])
    rows = [json.loads(line) for line in run("classify", str(made["classifier"]), *DOCUMENTS).splitlines()]
    assert [row["class"] for row in rows] == classifier.predict(DOCUMENTS)
    found = [list(row["probabilities"].values()) for row in rows]
    assert np.abs(np.array(found) - classifier.predict_proba(DOCUMENTS)).max() < 1e-6
    assert list(rows[0]["probabilities"]) == classifier.labels
    for command in ("rerank", "classify"):
        assert "Examples" in run(command, "--help")
