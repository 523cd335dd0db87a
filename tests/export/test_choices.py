"""A picture with two classes out of one list, which gate its vector (Hydra, "Rethinking Positive Pairs")."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers as tf

import embedkit
import embedkit_export
from embedkit import Encoder, InputError
from helpers.image_models import MAPS
from helpers.pictures import drawn

CLASSES = ("cat", "dog", "river", "house")
PICTURES = [drawn(60, 40, 1), drawn(31, 77, 2), drawn(90, 90, 3), drawn(5, 9, 4), drawn(33, 32, 5)]
PAIRS = [("cat", "dog"), ("river", "river"), ("dog", "house"), ("house", "cat"), ("river", "cat")]
RECIPE = """
stages = [{kind = "gate", weights = "gate.npz:", table = "classes.npz:", inputs = ["first", "second"]}]

[parts.picture]

[parts.picture.image]
size = [32, 32]
steps = [{step = "resize", size = [32, 32]}]
mean = [0.5, 0.5, 0.5]
std = [0.5, 0.5, 0.5]

[inputs]
first = {field = "first", values = {cat = 0, dog = 1, river = 2, house = 3}}
second = {field = "second", values = {cat = 0, dog = 1, river = 2, house = 3}}
"""


@pytest.fixture(scope="module")
def model() -> Any:
    torch.manual_seed(0)
    return tf.ResNetModel(tf.ResNetConfig(embedding_size=16, layer_type="basic", **MAPS)).eval()


@pytest.fixture(scope="module")
def weights() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    return {
        "table": rng.normal(size=(4, 8)).astype(np.float32),
        "weight": rng.normal(size=(32, 8)).astype(np.float32),
        "bias": rng.normal(size=32).astype(np.float32),
    }


@pytest.fixture(scope="module")
def bundle(model: Any, weights: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("hydra")
    np.savez(where / "gate.npz", weight=weights["weight"], bias=weights["bias"])
    np.savez(where / "classes.npz", weight=weights["table"])
    (where / "recipe.toml").write_text(RECIPE)
    return embedkit_export.export(
        model, output=where / "bundle", recipe=where / "recipe.toml", timing=True, variants=["fp32"]
    ).path


@pytest.fixture(scope="module")
def encoder(bundle: Path) -> Encoder:
    return Encoder.load(bundle, variant="fp32")


def items(pairs: list[tuple[str, str]] = PAIRS) -> list[dict[str, Any]]:
    return [
        {"picture": picture, "first": first, "second": second}
        for picture, (first, second) in zip(PICTURES, pairs, strict=True)
    ]


def by_torch(model: Any, weights: dict[str, Any], *, gated: bool = True) -> np.ndarray:
    """features * sigmoid(layer((label(y1) + label(y2)) / 2)), each picture by itself."""
    rows = []
    table, weight, bias = (torch.from_numpy(weights[name]) for name in ("table", "weight", "bias"))
    for picture, pair in zip(PICTURES, PAIRS, strict=True):
        pixels = torch.from_numpy(np.asarray(picture.resize((32, 32), 3)).copy()).permute(2, 0, 1)[None]
        with torch.no_grad():
            features = model((pixels / 255 - 0.5) / 0.5).pooler_output.flatten(1)[0]
            labels = (table[CLASSES.index(pair[0])] + table[CLASSES.index(pair[1])]) / 2
            rows.append(features * torch.sigmoid(weight @ labels + bias) if gated else features)
    return torch.stack(rows).numpy()


def test_the_vectors_are_those_of_torch(model: Any, weights: dict[str, Any], encoder: Encoder) -> None:
    expected = by_torch(model, weights)
    found = encoder.encode(items())
    assert np.abs(found - expected).max() < 1e-4
    for item, row in zip(items(), found, strict=True):
        assert encoder.encode(item).tobytes() == row.tobytes()
    assert np.array_equal(encoder.encode(items()[::-1])[::-1], found)
    # Neg: without the gate, and with other classes, the vectors are others.
    assert np.abs(by_torch(model, weights, gated=False) - expected).max(axis=1).min() > 1e-3
    other = encoder.encode(items([("dog", "house"), *PAIRS[1:]]))
    assert np.abs(other[0] - found[0]).max() > 1e-3
    assert np.array_equal(other[1:], found[1:])


def test_which_class_is_first_says_nothing(encoder: Encoder) -> None:
    turned = encoder.encode(items([(b, a) for a, b in PAIRS]))
    assert np.array_equal(turned, encoder.encode(items()))


def test_the_bundle_keeps_its_promises_here(bundle: Path, encoder: Encoder) -> None:
    assert embedkit.verify(bundle).passed
    assert encoder.fields() == {"picture": None, "first": None, "second": None}
    variant = encoder.bundle.tower("default").graph.variants["fp32"]
    assert variant.tokens_per_second


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"second": "whale"}, "part 'second': expected one of cat, dog, river, house, found 'whale'"),
        ({"second": 1}, "part 'second': expected one of cat, dog, river, house, found 1"),
        ({"second": None}, "the part 'second' is missing"),
    ],
)
def test_a_class_that_is_none_is_named(encoder: Encoder, change: dict[str, Any], problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        encoder.encode([{**items()[0], **change}])
