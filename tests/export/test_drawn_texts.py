"""Texts that are read as they are drawn, from torch to a vector (Pixel sentence representation, Xiao et al. 2024)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers as tf
from PIL import Image, ImageDraw

import embedkit
import embedkit_export
from embedkit import Encoder, InputError
from embedkit_export import ImageInput, Recipe

PATCH, PATCHES = 16, 8
TEXTS = ["rain", "the old house", "a", "north and south", "xyz"]
MEAN = {"mean": [0.5] * 3, "std": [0.5] * 3}
RECIPE = Recipe(
    image=ImageInput(size=[PATCH, PATCH * PATCHES], source="rendered", **MEAN),
    pooling={"mode": "mean", "ink": True, "without": ["first"]},
    stages=[{"kind": "normalize"}],
)


def render(text: str) -> np.ndarray:
    """A line in Pillow's own font, as wide as the text is."""
    width = 2 + 7 * len(text)
    made = Image.new("L", (width, PATCH), 255)
    ImageDraw.Draw(made).text((1, 2), text, fill=0)
    return np.asarray(made)


@pytest.fixture(scope="module")
def model() -> Any:
    torch.manual_seed(0)
    config = tf.ViTConfig(
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=4,
        image_size=[PATCH, PATCH * PATCHES],
        patch_size=PATCH,
    )
    return tf.ViTModel(config, add_pooling_layer=False).eval()


@pytest.fixture(scope="module")
def bundle(model: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return embedkit_export.export(
        model, output=tmp_path_factory.mktemp("drawn") / "bundle", recipe=RECIPE, timing=False, variants=["fp32"]
    ).path


def by_torch(model: Any, text: str, *, white: bool = False, first: bool = False) -> np.ndarray:
    pixels = np.full((PATCH, PATCH * PATCHES), 255, np.uint8)
    pixels[:, : render(text).shape[1]] = render(text)
    ink = np.array([(pixels[:, i * PATCH : (i + 1) * PATCH] < 255).any() or white for i in range(PATCHES)])
    values = torch.from_numpy(np.repeat(pixels[None, None], 3, axis=1)) / 255
    with torch.no_grad():
        hidden = model((values - 0.5) / 0.5).last_hidden_state[0].numpy()
    vector = hidden[0] if first else hidden[1:][ink].mean(axis=0)
    return vector / np.linalg.norm(vector)


def test_the_vectors_are_those_of_torch(model: Any, bundle: Path) -> None:
    encoder = Encoder.load(bundle, variant="fp32", renderer=render)
    found = encoder.encode(TEXTS)
    expected = np.stack([by_torch(model, text) for text in TEXTS])
    assert np.abs(found - expected).max() < 1e-4
    assert np.array_equal(Encoder.load(bundle, variant="fp32").encode([render(text) for text in TEXTS]), found)
    for text, row in zip(TEXTS, found, strict=True):
        assert encoder.encode(text).tobytes() == row.tobytes()
    # Neg: the white patches too, or the class token, are something else.
    for wrong in ({"white": True}, {"first": True}):
        others = np.stack([by_torch(model, text, **wrong) for text in TEXTS])
        assert np.abs(others - expected).max(axis=1).min() > 1e-3
    assert embedkit.verify(bundle).passed


def test_a_text_without_a_renderer_is_told_of_it(bundle: Path) -> None:
    with pytest.raises(InputError, match="renderer="):
        Encoder.load(bundle, variant="fp32").encode(["rain"])
    encoder = Encoder.load(bundle, variant="fp32", renderer=render)
    with pytest.raises(InputError, match="item|image 1: drawn"):
        encoder.encode(["rain", "x" * 40])
