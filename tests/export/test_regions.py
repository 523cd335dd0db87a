"""Regions of a picture as vectors, from torch to a score of two models (DITO, Kim et al. 2024)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import embedkit
import embedkit_export
from embedkit import Encoder, InputError
from embedkit.bundle.manifest import Crop, Resize
from embedkit_export import FeaturesInput, ImageInput, Recipe, RoiAlign, Role
from helpers import models
from helpers.pictures import drawn
from helpers.systems import sample

EDGE, WIDTH, STRIDE = 32, 16, 4
PICTURES = [drawn(60, 40, 1), drawn(31, 77, 2), drawn(90, 90, 3), drawn(50, 64, 4), drawn(71, 48, 5)]
IMAGE = ImageInput(size=[EDGE, EDGE], steps=[Resize(size=[EDGE], fit="shortest"), Crop(size=[EDGE, EDGE])])
"""A crop, so that boxes move."""


class Regions(nn.Module):
    """A picture and boxes -> (batch, boxes, dim)."""

    def __init__(self, *, aligned: bool = True) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 8, 4, 2, 1), nn.Conv2d(8, WIDTH, 4, 2, 1)
        self.align = RoiAlign(3, 1 / STRIDE, aligned=aligned)
        self.head = nn.Linear(9 * WIDTH, WIDTH)

    def maps(self, image: Tensor) -> Tensor:
        return self.second(torch.relu(self.first(image)))

    def forward(self, image: Tensor, boxes: Tensor) -> Tensor:
        return self.head(self.align(self.maps(image), boxes).flatten(2))


class Detector(nn.Module):
    """Regions and texts, each with the projection of the detector and of the model that it was made from."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.regions = Regions()
        self.text_model, _ = models.make("bert", hidden=32, layers=1)
        self.own, self.vlm = nn.Linear(WIDTH, 12), nn.Linear(WIDTH, 12)
        self.own_text, self.vlm_text = nn.Linear(32, 12), nn.Linear(32, 12)


def recipe(live: Detector) -> Recipe:
    normal = {"kind": "normalize"}
    return Recipe(
        dense=False,
        roles={
            "document": Role(
                module="regions",
                parts={
                    "image": Role(image=IMAGE),
                    "boxes": Role(features=FeaturesInput(shape=["any", 4], boxes="image")),
                },
                outputs={
                    "own": {"kind": "multivector", "part": "boxes", "stages": [live.own, normal]},
                    "vlm": {"kind": "multivector", "part": "boxes", "stages": [live.vlm, normal]},
                },
            ),
            "query": Role(
                module="text_model",
                template="a photo of {text}",
                max_tokens=20,
                without=["special"],
                outputs={
                    "own": {"kind": "multivector", "stages": [live.own_text, normal]},
                    "vlm": {"kind": "multivector", "stages": [live.vlm_text, normal]},
                },
            ),
        },
    )


@pytest.fixture(scope="module")
def live() -> Detector:
    return Detector().eval()


@pytest.fixture(scope="module")
def bundle(live: Detector, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return embedkit_export.export(
        (live, models.make_tokenizer("word")),
        output=tmp_path_factory.mktemp("regions") / "bundle",
        recipe=recipe(live),
        timing=False,
        variants=["fp32"],
        sample=sample(tmp_path_factory.mktemp("sample")),
    ).path


@pytest.fixture(scope="module")
def encoder(bundle: Path) -> Encoder:
    return Encoder.load(bundle, variant="fp32", on_truncate="ignore")


def boxes_of(number: int) -> np.ndarray:
    """From one to five boxes about a picture's middle, in its own pixels."""
    width, height = PICTURES[number].size
    rng = np.random.default_rng(number)
    reach = rng.uniform(0.1, 0.5, (number + 1, 4)) * np.array([width, height, width, height])
    middle = np.array([width / 2, height / 2])
    return np.concatenate([middle - reach[:, :2], middle + reach[:, 2:]], axis=1).astype(np.float32)


ITEMS = [{"image": picture, "boxes": boxes_of(i)} for i, picture in enumerate(PICTURES)]


def in_the_crop(number: int) -> np.ndarray:
    """The boxes where the picture's middle square of 32 pixels is."""
    width, height = PICTURES[number].size
    short = min(width, height)
    wide, high = (int(EDGE * edge / short) for edge in (width, height))
    left, top = (wide - EDGE) // 2, (high - EDGE) // 2
    scale, start = np.tile([wide / width, high / height], 2), np.tile([left, top], 2)
    moved = boxes_of(number) * scale - start
    return np.clip(moved, 0, EDGE).astype(np.float32)


def aligned(maps: np.ndarray, box: np.ndarray, *, half: float = 0.5, size: int = 3, samples: int = 2) -> np.ndarray:
    """(channels, size, size) of one box by loops, as RoiAlign is defined."""
    left, top, right, bottom = (box / STRIDE - half).tolist()
    width, height = right - left, bottom - top
    if not half:
        width, height = max(width, 1.0), max(height, 1.0)
    out = np.zeros((maps.shape[0], size, size))
    for i in range(size):
        for j in range(size):
            for a in range(samples):
                for b in range(samples):
                    y = top + (i + (a + 0.5) / samples) * height / size
                    x = left + (j + (b + 0.5) / samples) * width / size
                    out[:, i, j] += bilinear(maps, y, x) / samples**2
    return out


def bilinear(maps: np.ndarray, y: float, x: float) -> np.ndarray:
    high, wide = maps.shape[1:]
    if not (-1 <= y <= high and -1 <= x <= wide):
        return np.zeros(maps.shape[0])
    y, x = min(max(y, 0.0), high - 1), min(max(x, 0.0), wide - 1)
    y0, x0 = int(y), int(x)
    y1, x1 = min(y0 + 1, high - 1), min(x0 + 1, wide - 1)
    ty, tx = y - y0, x - x0
    above = maps[:, y0, x0] * (1 - tx) + maps[:, y0, x1] * tx
    below = maps[:, y1, x0] * (1 - tx) + maps[:, y1, x1] * tx
    return above * (1 - ty) + below * ty


def by_torch(live: Detector, number: int, boxes: np.ndarray, *, half: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    """Both vectors of each box of one picture."""
    width, height = PICTURES[number].size
    short = min(width, height)
    size = tuple(int(EDGE * edge / short) for edge in (width, height))
    left, top = ((edge - EDGE) // 2 for edge in size)
    picture = PICTURES[number].resize(size, 3).crop((left, top, left + EDGE, top + EDGE))
    pixels = torch.from_numpy(np.asarray(picture).copy()).permute(2, 0, 1)[None] / 255
    with torch.no_grad():
        maps = live.regions.maps(pixels)[0].numpy()
        pooled = np.stack([aligned(maps, box, half=half) for box in boxes]).astype(np.float32)
        hidden = live.regions.head(torch.from_numpy(pooled).flatten(1))
        return tuple(nn.functional.normalize(layer(hidden), dim=-1).numpy() for layer in (live.own, live.vlm))


def test_the_vectors_of_regions_are_those_of_torch(live: Detector, encoder: Encoder) -> None:
    found = encoder.encode_outputs(ITEMS, role="document")
    for number, (own, vlm) in enumerate(zip(found["own"], found["vlm"], strict=True)):
        expected = by_torch(live, number, in_the_crop(number))
        assert own.shape == (number + 1, 12), "a vector for each box"
        assert np.abs(own - expected[0]).max() < 1e-4
        assert np.abs(vlm - expected[1]).max() < 1e-4
        # Neg: boxes that are not moved with the picture, and places counted from corners, are others.
        still = by_torch(live, number, np.clip(boxes_of(number), 0, EDGE))[0]
        assert np.abs(still - expected[0]).max() > 1e-3
        assert np.abs(by_torch(live, number, in_the_crop(number), half=0.0)[0] - expected[0]).max() > 1e-3


def test_a_region_does_not_depend_on_its_company(encoder: Encoder) -> None:
    together = encoder.encode_document(ITEMS)
    for number, item in enumerate(ITEMS):
        assert encoder.encode_document(item).values.tobytes() == together[number : number + 1].values.tobytes()
    assert encoder.encode_document(ITEMS[::-1]) == together[np.arange(5)[::-1]]
    one = {**ITEMS[4], "boxes": ITEMS[4]["boxes"][2:3]}
    assert encoder.encode_document(one).values.tobytes() == together[4:5].values[2:3].tobytes(), "a box alone too"


def test_scores_of_two_models_are_one(encoder: Encoder) -> None:
    texts = ["rain", "the old house", "a river in the north"]
    regions, words = encoder.encode_outputs(ITEMS, role="document"), encoder.encode_outputs(texts, role="query")
    probabilities = []
    for name in ("own", "vlm"):
        means = np.stack([one.mean(axis=0) for one in words[name]])
        logits = regions[name].values @ means.T / 0.1
        shares = np.exp(logits - logits.max(axis=1, keepdims=True))
        probabilities.append((shares / shares.sum(axis=1, keepdims=True)).astype(np.float32))
    p, q = probabilities
    for weight in (0.35, 0.65):
        expected = np.exp((1 - weight) * np.log(p.astype(np.float64)) + weight * np.log(q.astype(np.float64)))
        assert np.abs(embedkit.powered(p, q, weight) - expected).max() < 1e-6
    assert np.abs(embedkit.powered(p, q, 0.35) - embedkit.powered(p, q, 0.65)).max() > 1e-3


def test_the_bundle_keeps_its_promises_here(bundle: Path) -> None:
    report = embedkit.verify(bundle)
    assert report.passed, report
    assert embedkit.Bundle.open(bundle).manifest.towers["default"].outputs["own"].part == "boxes"


@pytest.mark.parametrize(
    ("boxes", "problem"),
    [
        ([[0, 0, 5]], "part 'boxes': expected numbers of the shape"),
        ([[9, 0, 5, 5]], "part 'boxes': box 0: expected left, top, right, bottom"),
        (np.zeros((0, 4)), "part 'boxes': expected numbers of the shape"),
        (
            [[0, 0, 2, 2]],
            r"item 0: part 'boxes': box 0 \[0.0, 0.0, 2.0, 2.0\] lies beyond what is read of the picture of 60 x 40",
        ),
    ],
)
def test_boxes_that_are_none_are_named(encoder: Encoder, boxes: Any, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        encoder.encode_document([{"image": PICTURES[0], "boxes": boxes}])
