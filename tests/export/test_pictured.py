"""Models of sentence-transformers that read pictures: the vectors of `SentenceTransformer.encode`, of pictures and of texts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer

import embedkit
import embedkit_export
from embedkit import Encoder
from helpers import models
from helpers.pictured import FOLDERS
from helpers.pictures import drawn, of_modes
from helpers.slow import but

PICTURES = [drawn(60, 40, 1), drawn(31, 77, 2), drawn(200, 200, 3), of_modes()["RGBA"], of_modes()["L"]]
TEXTS = [*models.SENTENCES[:4], "a boat"]


@pytest.mark.parametrize("kind", but(["new"], FOLDERS))
def test_as_sentence_transformers_encodes(kind: str, tmp_path: Path) -> None:
    source = FOLDERS[kind](tmp_path)
    model = SentenceTransformer(str(source), device="cpu")
    report = embedkit_export.export(source, output=tmp_path / "bundle", variants=["fp32"], timing=False)
    encoder = Encoder.load(report.path, variant="fp32", on_truncate="ignore", threads=1)
    seen = encoder.encode_image(PICTURES)
    given = [picture.convert("RGB") for picture in PICTURES] if kind in ("alone", "routed") else PICTURES
    assert np.abs(seen - np.stack([model.encode([one])[0] for one in given])).max() < 1e-4
    for picture, row in zip(PICTURES, seen, strict=True):
        assert encoder.encode_image(picture).tobytes() == row.tobytes()
    assert embedkit.verify(report.path).passed
    if kind == "alone":
        assert {tower.frontend.kind for tower in report.manifest.towers.values()} == {"image"}
        return
    assert np.array_equal(encoder.encode(PICTURES), seen), "an item's type decides"
    read = encoder.encode(TEXTS)
    assert np.abs(read - model.encode(TEXTS)).max() < 1e-4
    assert np.array_equal(encoder.encode_query(TEXTS), read)
    assert seen.shape[1] == read.shape[1]
