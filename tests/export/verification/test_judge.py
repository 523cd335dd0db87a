"""What decides of an export: the fixed texts and the sample, by torch's vectors and by the labels."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import embedkit_export
from embedkit import ExportError
from embedkit_export import Gates, Pooling, Recipe
from helpers import models


def test_a_role_that_pools_nothing_of_a_usual_text(folder: Path, sample: Path, tmp_path: Path) -> None:
    recipe = Recipe(pooling=Pooling(without=["first:60"]))
    with pytest.raises(ExportError, match="role 'default': of a usual text no token is left to pool"):
        embedkit_export.export(folder, output=tmp_path / "bundle", sample=sample, recipe=recipe)
    assert list(tmp_path.iterdir()) == []


def test_labels_are_measured_and_gated(folder: Path, tmp_path: Path) -> None:
    sentences = models.SENTENCES
    pairs = tmp_path / "pairs.jsonl"
    pairs.write_text(
        "\n".join(
            json.dumps({"text1": f"{a} {i}", "text2": b, "score": len(set(a.split()) & set(b.split())) + i / 100})
            for i, a in enumerate(sentences)
            for b in sentences
        )
    )
    report = embedkit_export.export(folder, output=tmp_path / "pairs", sample=pairs, timing=False)
    assert "spearman" in report.text()
    fp32, int8 = (report.manifest.towers["default"].graph.variants[name].quality.labels for name in ("fp32", "int8"))  # type: ignore[union-attr]
    assert abs(fp32["spearman"] - int8["spearman"]) < 0.02
    searches = tmp_path / "searches.jsonl"
    searches.write_text(
        "\n".join(
            json.dumps({"query": " ".join(s.split()[:4]), "relevant": [s], "irrelevant": ["no"]}) for s in sentences
        )
    )
    report = embedkit_export.export(
        folder, output=tmp_path / "searches", sample=searches, timing=False, gates=Gates(labels=-1)
    )
    assert set(report.manifest.towers["default"].graph.variants["fp32"].quality.labels) == {"ndcg@10", "recall@10"}  # type: ignore[union-attr]
    assert "allowed to lose -1" in report.missing["int8"]
