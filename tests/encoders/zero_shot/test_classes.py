from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("PIL")

import embedkit
from embedkit import Encoder, InputError, OptionError
from embedkit.bundle.manifest import Matching
from embedkit.encoders.zero_shot.classes import ZeroShot
from embedkit.testing.tiny import tiny_bundle
from helpers.image_bundles import COLORS, picture_bundle

LABELS = ["a cat", "a dog", "tea", "a railway"]
TEMPLATES = ["a photo of {}.", "{}", "two of the {}, far away"]
PICTURES = [np.full((9, 7, 3), color, np.uint8) for color in COLORS.values()]


@pytest.fixture(scope="module", params=["softmax", "sigmoid"])
def loaded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Encoder, Matching]:
    said = (
        Matching(fn="softmax", scale=7.5)
        if request.param == "softmax"
        else Matching(fn="sigmoid", scale=9.0, bias=-2.5)
    )
    return Encoder.load(picture_bundle(tmp_path_factory.mktemp("b") / "b", texts=True, matching=said)), said


def expected(encoder: Encoder, said: Matching) -> np.ndarray:
    """Written out: each prompt at unit length, their mean at unit length again, and what becomes of the cosines."""
    classes = []
    for label in LABELS:
        rows = [encoder.encode(template.replace("{}", label), role="text").astype(np.float64) for template in TEMPLATES]
        mean = sum(row / np.sqrt((row**2).sum()) for row in rows) / len(rows)
        classes.append(mean / np.sqrt((mean**2).sum()))
    seen = encoder.encode_image(PICTURES).astype(np.float64)
    logits = said.scale * (seen / np.sqrt((seen**2).sum(axis=1, keepdims=True))) @ np.array(classes).T + said.bias
    return (
        np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        if said.fn == "softmax"
        else 1 / (1 + np.exp(-logits))
    )


def test_probabilities_are_those_of_the_definition(loaded: tuple[Encoder, Matching]) -> None:
    encoder, said = loaded
    judge = ZeroShot(encoder, LABELS, prompts=TEMPLATES)
    found = judge.predict_proba(PICTURES)
    wanted = expected(encoder, said)
    assert np.abs(found - wanted).max() < 1e-6
    assert found.dtype == np.float32
    assert judge.multilabel is (said.fn == "sigmoid")
    for picture, row in zip(PICTURES, found, strict=True):
        assert judge.predict_proba([picture])[0].tobytes() == row.tobytes(), "the same bytes alone"
    assert np.array_equal(judge.predict_proba(PICTURES[::-1])[::-1], found)
    if said.fn == "softmax":
        assert judge.predict(PICTURES) == [LABELS[i] for i in wanted.argmax(axis=1)]
        assert judge.predict(PICTURES[0]) == LABELS[wanted[0].argmax()]
    else:
        chosen = [[LABELS[i] for i in range(4) if row[i] >= 0.1] for row in wanted]
        assert judge.predict(PICTURES, threshold=0.1) == chosen
        assert {len(one) for one in chosen} - {1}, "none, or several"


def test_the_order_of_means_and_lengths_matters(loaded: tuple[Encoder, Matching]) -> None:
    encoder, said = loaded
    with pytest.raises(AssertionError):
        one = ZeroShot(encoder, LABELS, prompts=TEMPLATES[:1]).predict_proba(PICTURES)
        assert np.abs(one - expected(encoder, said)).max() < 1e-6


def test_what_cannot_be_encoded_is_told_and_costs_no_other(loaded: tuple[Encoder, Matching], tmp_path: Path) -> None:
    encoder, _ = loaded
    (tmp_path / "bad.png").write_bytes(b"no picture")
    judge = ZeroShot(encoder, LABELS)
    bad: dict[int, str] = {}
    parts = list(judge.stream_proba([PICTURES[0], tmp_path / "bad.png", "a string", PICTURES[3]], bad.__setitem__))
    assert np.array_equal(np.concatenate(parts), judge.predict_proba([PICTURES[0], PICTURES[3]]))
    assert sorted(bad) == [1, 2]
    assert "no picture" in bad[1]
    assert "a string is a text" in bad[2]


def test_what_a_bundle_does_not_say(tmp_path: Path) -> None:
    encoder = Encoder.load(picture_bundle(tmp_path / "old", texts=True))
    with pytest.raises(InputError, match="does not say by what its cosines .*give a scale, such as 100"):
        ZeroShot(encoder, LABELS)
    assert ZeroShot(encoder, LABELS, scale=100).matching == Matching(fn="softmax", scale=100.0)
    with pytest.raises(OptionError, match="scale: expected a number above 0"):
        ZeroShot(encoder, LABELS, scale=0)
    with pytest.raises(InputError, match="reads image, and no text"):
        ZeroShot(Encoder.load(picture_bundle(tmp_path / "only")), LABELS, scale=100)
    for labels, message in ([[], "at least one class"], [["a", "a"], "'a' twice"], [["a", " "], "labels, 2"]):
        with pytest.raises(InputError, match=message):
            ZeroShot(encoder, labels, scale=100)


def test_a_bundle_of_texts_classifies_texts(tmp_path: Path) -> None:
    encoder = Encoder.load(tiny_bundle(tmp_path / "tiny"))
    judge = ZeroShot(encoder, ["tea", "a railway station"], prompts="plain", scale=50)
    assert judge.predict(["tea", "a railway station"]) == ["tea", "a railway station"]


def test_a_manifest_without_it_keeps_its_bytes(tmp_path: Path) -> None:
    from embedkit.bundle.hashes import fingerprint

    plain, said = tmp_path / "plain", tmp_path / "said"
    picture_bundle(plain, texts=True)
    picture_bundle(said, texts=True, matching=Matching(fn="softmax", scale=3.0))
    assert b"matching" not in (plain / "embedkit.json").read_bytes()
    with_it = embedkit.Bundle.open(said).manifest
    assert with_it.matching == Matching(fn="softmax", scale=3.0)
    assert with_it.fingerprint == embedkit.Bundle.open(plain).manifest.fingerprint == fingerprint(with_it)
