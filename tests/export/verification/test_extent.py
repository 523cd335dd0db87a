"""How many rows and texts an export is proved on, against the probabilities themselves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from torch import nn

import embedkit_export
from embedkit_export.verification import extent
from helpers import models


@pytest.mark.parametrize(("share", "certainty"), [(1 / 1000, 0.95), (1 / 100, 0.99), (0.3, 0.5)])
def test_the_floor_is_the_least_that_finds_a_wrong_row(share: float, certainty: float) -> None:
    rows = extent.rows_to_find(share, certainty)
    assert 1 - (1 - share) ** rows >= certainty > 1 - (1 - share) ** (rows - 1)
    drawn = np.random.default_rng(0).random((2_000, rows)) < share
    assert drawn.any(axis=1).mean() == pytest.approx(certainty, abs=0.02)


def test_the_weights_that_a_token_meets() -> None:
    table = nn.Embedding(100, 8)
    body = nn.ModuleDict(
        {"table": table, "first": nn.Linear(8, 32), "second": nn.Linear(32, 8), "norm": nn.LayerNorm(8)}
    )
    assert extent.weights_of(body) == 8 * 32 + 32 * 8
    assert extent.widest_of(body) == 32
    body["second"] = body["first"]
    assert extent.weights_of(body) == 8 * 32


def test_a_small_model_keeps_all_and_a_large_one_the_floor() -> None:
    texts = list(range(300))
    rows = [80] * len(texts)
    assert extent.enough(texts, rows, 10_000_000) == texts
    for weights in (300_000_000, 10**12):
        kept = extent.enough(texts, rows, weights)
        assert kept == texts[: len(kept)]
        assert extent.rows_to_find() <= 80 * len(kept) < max(extent.WORK / weights, extent.rows_to_find()) + 80
    assert len(extent.enough(texts, rows, 10**12, least=8_000)) == 100
    assert len(extent.enough(texts, [512] * 300, 10**12)) == extent.FEWEST
    assert extent.enough([], [], 10**12) == []


def test_a_large_model_is_judged_on_fewer_texts_and_says_so(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sample = tmp_path / "sample.txt"
    sample.write_text("\n".join(f"{sentence} {i}" for i in range(20) for sentence in models.SENTENCES))
    monkeypatch.setattr(extent, "WORK", 1.0)
    monkeypatch.setattr(extent, "SHARE", 0.01)  # 299 rows
    monkeypatch.setattr(extent, "rows_to_find", lambda: 299)
    report = embedkit_export.export(folder, output=tmp_path / "bundle", sample=sample, variants=["fp32"], timing=False)
    note = next(note for note in report.notes if "is judged on" in note)
    assert note.startswith(f"role 'default': is judged on {extent.FEWEST} of 80 texts")
    graph = report.manifest.towers["default"].graph
    assert graph is not None
    assert graph.variants["fp32"].quality.texts == 12 + extent.FEWEST + 1  # with the golden and a long one
