"""Pictures and their captions, each found by the other."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("PIL")

from embedkit import Encoder, InputError
from embedkit.evaluation import ImageText, evaluate
from helpers.image_bundles import COLORS, picture_bundle

PICTURES = tuple(np.full((6, 5, 3), color, np.uint8) for color in COLORS.values())
CAPTIONS = tuple(tuple(f"{name} {i} in words" for i in range(1 + number % 3)) for number, name in enumerate(COLORS))


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    return Encoder.load(picture_bundle(tmp_path_factory.mktemp("b") / "b", texts=True))


def test_recalls_are_those_of_sorting(encoder: Encoder) -> None:
    found = evaluate(ImageText("here", PICTURES, CAPTIONS), {"one": encoder}, resamples=20).results[0].estimates
    seen = encoder.encode_image(list(PICTURES)).astype(np.float64)
    texts = [text for given in CAPTIONS for text in given]
    owner = [number for number, given in enumerate(CAPTIONS) for _ in given]
    said = encoder.encode(texts, role="text").astype(np.float64)
    scores = said @ seen.T
    for k in (1, 5, 10):
        hit = [owner[t] in np.argsort(-scores[t])[:k] for t in range(len(texts))]
        image = np.mean([np.mean([h for h, o in zip(hit, owner, strict=True) if o == i]) for i in range(len(PICTURES))])
        text = np.mean([any(owner[t] == i for t in np.argsort(-scores[:, i])[:k]) for i in range(len(PICTURES))])
        assert found[f"image_recall@{k}"].value == pytest.approx(image)
        assert found[f"text_recall@{k}"].value == pytest.approx(text)
        assert found[f"text_recall@{k}"].interval is not None
    assert found["modality_gap"].value == pytest.approx(np.linalg.norm(seen.mean(0) - said.mean(0)), abs=1e-5)
    assert found["modality_gap"].interval is None


def test_a_model_to_which_all_is_the_same_is_worth_chance(encoder: Encoder) -> None:
    same = tuple(np.zeros((4, 4 + i, 3), np.uint8) for i in range(8))
    found = evaluate(ImageText("here", same, tuple((f"text {i}",) for i in range(8))), {"one": encoder}, resamples=0)
    assert found.results[0].estimates["image_recall@1"].value == pytest.approx(1 / 8)


def test_a_file_in_which_pictures_stand_again(tmp_path: Path) -> None:
    rows = [("a.png", "one"), ("b.png", "two"), ("a.png", "three"), ("a.png", "one")]
    (tmp_path / "c.jsonl").write_text("".join(json.dumps({"image": i, "caption": c}) + "\n" for i, c in rows))
    task = ImageText.read(tmp_path / "c.jsonl")
    assert task.images == (tmp_path / "a.png", tmp_path / "b.png")
    assert task.captions == (("one", "three"), ("two",))
    assert task.size == {"pictures": 2, "captions": 3}


def test_what_cannot_be_measured(tmp_path: Path, encoder: Encoder) -> None:
    with pytest.raises(InputError, match="at least two pictures"):
        ImageText("here", PICTURES[:1], CAPTIONS[:1])
    only = Encoder.load(picture_bundle(tmp_path / "only"))
    with pytest.raises(InputError, match="reads image, and no text"):
        ImageText("here", PICTURES, CAPTIONS).measure(only)
    bad = ImageText("here", (*PICTURES[:2], tmp_path / "gone.png"), CAPTIONS[:3])
    with pytest.raises(InputError, match="image 2: .*gone.png"):
        bad.measure(encoder)
