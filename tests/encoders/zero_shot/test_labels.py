"""Vectors of labels over prompts, with the tiny bundle."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from embedkit import BundleError, Encoder, InputError, encode_labels

PROMPTS = ["a photo of a {}.", "the {} at night"]


def with_prompts(bundle: Path, folder: Path, prompts: dict[str, list[str]]) -> Path:
    shutil.copytree(bundle, folder)
    manifest = json.loads((folder / "embedkit.json").read_text())
    (folder / "embedkit.json").write_text(json.dumps(manifest | {"prompts": prompts}))
    return folder


def test_the_mean_of_unit_vectors_of_unit_length(encoder: Encoder) -> None:
    found = encode_labels(encoder, ["cat", "dog"], PROMPTS)
    for label, row in zip(("cat", "dog"), found, strict=True):
        vectors = encoder.encode([text.replace("{}", label) for text in PROMPTS]).astype(np.float64)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        mean = vectors.mean(axis=0)
        assert np.abs(row - mean / np.linalg.norm(mean)).max() < 1e-6
    plain = encoder.encode(["cat"])
    assert np.allclose(encode_labels(encoder, ["cat"]), plain / np.linalg.norm(plain, axis=1, keepdims=True), atol=1e-6)


def test_sets_of_the_bundle(bundle: Path, tmp_path: Path) -> None:
    one = Encoder.load(with_prompts(bundle, tmp_path / "one", {"two": PROMPTS}), variant="fp32", on_truncate="ignore")
    assert np.array_equal(encode_labels(one, ["cat"]), encode_labels(one, ["cat"], PROMPTS))
    assert np.array_equal(encode_labels(one, ["cat"], "two"), encode_labels(one, ["cat"], PROMPTS))
    both = {"two": PROMPTS, "bare": ["{}"]}
    several = Encoder.load(with_prompts(bundle, tmp_path / "both", both), variant="fp32", on_truncate="ignore")
    with pytest.raises(InputError, match="several sets; name one of two, bare"):
        encode_labels(several, ["cat"])


@pytest.mark.parametrize(
    ("prompts", "message"),
    [
        (["a photo"], r"prompts, 1: expected a text with \{\} once"),
        (["{} and {}"], r"prompts, 1: expected a text with \{\} once"),
        ([], "at least one template"),
        ("imagenets", r"prompts: expected photo, imagenet, plain or a file"),
    ],
)
def test_prompts_without_a_place(encoder: Encoder, prompts: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        encode_labels(encoder, ["cat"], prompts)


@pytest.mark.parametrize(
    ("labels", "message"),
    [([], "at least one class"), (["cat", " "], "labels, 2: expected the name"), (["a", "b", "a"], "found 'a' twice")],
)
def test_what_is_no_list_of_labels(encoder: Encoder, labels: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        encode_labels(encoder, labels)


def test_a_manifest_with_a_prompt_without_its_place(bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="prompts"):
        Encoder.load(with_prompts(bundle, tmp_path / "bad", {"two": ["no place"]}))
