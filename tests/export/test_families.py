"""Every family against an independent reference: transformers itself, padded and pooled by hand."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import torch

import embedkit_export
from embedkit import Encoder
from export import models
from texts import mixed

SAMPLE = "\n".join(
    " ".join(random.Random(i).choices(" ".join(models.SENTENCES).split(), k=3 + i % 25)) for i in range(120)
)


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sample") / "texts.txt"
    path.write_text(SAMPLE)
    return path


def by_hand(folder: Path, texts: list[str], pooling: str, normalize: bool) -> np.ndarray:
    from transformers import AutoModel, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    batch = tokenizer(texts, padding=True, truncation=True, max_length=64, return_tensors="pt")
    with torch.no_grad():
        hidden = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).last_hidden_state
    rows = []
    for row, mask in zip(hidden, batch["attention_mask"].bool(), strict=True):
        real = row[mask]
        vector = {"mean": real.mean(0), "cls": real[0], "max": real.amax(0)}[pooling]
        rows.append(vector / vector.norm() if normalize else vector)
    return torch.stack(rows).numpy()


@pytest.mark.parametrize("family", models.FAMILIES)
@pytest.mark.parametrize(("pooling", "normalize"), [("mean", False), ("cls", True), ("max", False)])
def test_family(family: str, pooling: str, normalize: bool, sample: Path, tmp_path: Path) -> None:
    folder = models.save(family, tmp_path / family, layers=random.Random(family + pooling).choice([1, 2, 3]))
    report = embedkit_export.export(
        folder, output=tmp_path / "bundle", sample=sample, pooling=pooling, normalize=normalize
    )  # type: ignore[arg-type]
    quality = report.manifest.towers["default"].graph.variants["int8"].quality  # type: ignore[union-attr]
    assert quality.cosine_min > 0.99
    texts = ["", "a", *mixed(60, longest=90, seed=3), *models.SENTENCES]
    expected = by_hand(folder, texts, pooling, normalize)
    for variant in ("fp32", "int8"):
        encoder = Encoder.load(tmp_path / "bundle", variant=variant, on_truncate="ignore")
        found = encoder.encode(texts)
        if variant == "fp32":
            assert np.abs(found - expected).max() < 1e-4
        cosine = (found * expected).sum(1) / np.linalg.norm(found, axis=1) / np.linalg.norm(expected, axis=1)
        assert cosine.min() > (0.999999 if variant == "fp32" else 0.99)
        for i in range(0, len(texts), 9):
            assert encoder.encode(texts[i]).tobytes() == found[i].tobytes()


def test_an_export_is_deterministic(sample: Path, tmp_path: Path) -> None:
    folder = models.save("bert", tmp_path / "bert")
    reports = [embedkit_export.export(folder, output=tmp_path / name, sample=sample) for name in ("a", "b")]
    for name in reports[0].manifest.files:
        if name != "golden.npz":  # a zip file holds the time at which it was written
            assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name
    assert reports[0].manifest.fingerprint == reports[1].manifest.fingerprint
    whole = b"".join(path.read_bytes() for path in (tmp_path / "a").iterdir())
    assert str(Path.home()).encode() not in whole
    assert b"site-packages" not in whole
