"""Heads on vectors: a logistic regression after the encoder, and a head that scores two stored vectors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from transformers import AutoModel, AutoTokenizer

import embedkit_export
from embedkit import Classifier, Encoder, InputError, Scorer
from embedkit.errors import BundleError, ExportError
from embedkit.runtime.verification import verify
from embedkit_export.recipes.recipe import Recipe
from helpers import models, slow
from helpers.systems import TEXTS, export, sample


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return models.save("bert", tmp_path_factory.mktemp("pairs") / "model")


@pytest.mark.parametrize("classes", slow.but([2], [2, 4]))
def test_probabilities_are_those_of_the_regression(classes: int, folder: Path, tmp_path: Path) -> None:
    plain = export(folder, Recipe(max_tokens=32), tmp_path / "plain")
    vectors = plain.encode(TEXTS)
    names = [f"class {i}" for i in range(classes)]
    fitted = LogisticRegression(C=10).fit(vectors, [names[i % classes] for i in range(len(TEXTS))])
    np.savez(tmp_path / "head.npz", **embedkit_export.logistic_head(fitted))
    recipe = f"""
max_tokens = 32
[outputs.classes]
kind = "logits"
labels = {names}
activation = "softmax"
stages = [{{ kind = "linear", weights = "head.npz:" }}]
"""
    encoder = export(folder, recipe, tmp_path, variants=("fp32", "int8"))
    assert list(encoder.outputs()) == ["dense", "classes"]
    classifier = Classifier(encoder)
    found = classifier.predict_proba(TEXTS)
    assert np.abs(found - fitted.predict_proba(vectors)).max() < 1e-4
    assert classifier.predict(TEXTS) == list(fitted.predict(vectors))
    for i, text in enumerate(TEXTS):
        assert classifier.predict_proba([text]).tobytes() == found[i : i + 1].tobytes()
    both = encoder.encode_outputs(TEXTS)
    assert np.array_equal(both["dense"], encoder.encode(TEXTS))


@pytest.mark.slow
def test_a_merged_checkpoint_and_its_classes(folder: Path, tmp_path: Path) -> None:
    other = models.save("bert", tmp_path / "other", seed=3)
    merged = AutoModel.from_pretrained(folder).eval()
    a, b = merged.state_dict(), AutoModel.from_pretrained(other).state_dict()
    merged.load_state_dict({name: slerped(a[name], b[name]) for name in a})
    tokenizer = AutoTokenizer.from_pretrained(folder)
    rows = []
    for text in TEXTS:
        with torch.no_grad():
            given = tokenizer([text], truncation=True, max_length=32, return_tensors="pt")
            rows.append(merged(input_ids=given["input_ids"]).last_hidden_state[0].mean(0))
    vectors = torch.stack(rows).numpy()
    fitted = LogisticRegression(C=10).fit(vectors, [i % 3 for i in range(len(TEXTS))])
    np.savez(tmp_path / "head.npz", **embedkit_export.logistic_head(fitted))
    recipe = f"""
max_tokens = 32
surgery = {{ slerp = {{ with = "{other}", t = 0.5 }} }}
[outputs.classes]
kind = "logits"
activation = "softmax"
stages = [{{ kind = "linear", weights = "head.npz:" }}]
"""
    encoder = export(folder, recipe, tmp_path)
    assert np.abs(encoder.encode(TEXTS) - vectors).max() < 1e-4
    assert np.abs(Classifier(encoder).predict_proba(TEXTS) - fitted.predict_proba(vectors)).max() < 1e-4


def slerped(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Halfway on the arc between two tensors; on the straight line where they are nearly parallel."""
    x, y = a.double().flatten(), b.double().flatten()
    if not a.is_floating_point():
        return a
    cosine = float(x @ y / (x.norm() * y.norm()).clamp(min=1e-12))
    if abs(cosine) > 0.9995:
        return ((x + y) / 2).reshape(a.shape).to(a.dtype)
    angle = np.arccos(cosine)
    share = np.sin(angle / 2) / np.sin(angle)
    return (share * (x + y)).reshape(a.shape).to(a.dtype)


# DSE: an MLP reads u, v, u * v and abs(u - v) of two stored vectors.


class Mlp(torch.nn.Module):
    def __init__(self, dim: int, outputs: int) -> None:
        super().__init__()
        torch.manual_seed(4)
        self.layers = torch.nn.Sequential(torch.nn.Linear(4 * dim, 24), torch.nn.ReLU(), torch.nn.Linear(24, outputs))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.layers(x)
        return out


DSE: dict[str, Any] = {
    "pooling": {"mode": "mean", "layers": [-1, -2], "join": "concat", "without": ["first"]},
    "max_tokens": 32,
}


@pytest.mark.parametrize("outputs", [1, 3])
def test_stored_vectors_and_the_head_are_the_model(outputs: int, folder: Path, tmp_path: Path) -> None:
    head = Mlp(128, outputs)
    recipe = Recipe(**DSE, pair={"stages": [head]})
    encoder = export(folder, recipe, tmp_path)
    vectors = encoder.encode(TEXTS)
    scorer = Scorer.load(encoder.bundle.folder)
    assert (scorer.dim, scorer.outputs) == (128, outputs)
    order = np.random.default_rng(0).permutation(len(TEXTS))
    u, v = torch.from_numpy(vectors), torch.from_numpy(vectors[order])
    with torch.no_grad():
        expected = head(torch.cat([u, v, u * v, (u - v).abs()], dim=1)).numpy().reshape(len(TEXTS), -1)
        permuted = head(torch.cat([v, u, u * v, (u - v).abs()], dim=1)).numpy().reshape(len(TEXTS), -1)
    found = scorer.score(vectors, vectors[order]).reshape(len(TEXTS), -1)
    assert np.abs(found - expected).max() < 1e-4
    assert np.abs(found - permuted).max() > 1e-3  # Neg: the order of the features matters
    whole = scorer.similarity(vectors, vectors)
    assert whole.shape == ((len(TEXTS), len(TEXTS)) if outputs == 1 else (len(TEXTS), len(TEXTS), outputs))
    for i in range(len(TEXTS)):
        assert (
            scorer.score(vectors[i : i + 1], vectors[order[i] : order[i] + 1]).tobytes() == found[i : i + 1].tobytes()
        )
        assert whole[i, order[i]].tobytes() == found[i].tobytes()
    assert scorer.score(vectors[:0], vectors[:0]).shape == ((0,) if outputs == 1 else (0, outputs))
    assert verify(encoder.bundle.folder).passed
    for a, b in ((vectors, vectors[:2]), (vectors[:, :5], vectors), (vectors * np.nan, vectors)):
        with pytest.raises(InputError):
            scorer.score(a, b)


def test_a_changed_head_is_another_space_and_a_damaged_one_is_noticed(folder: Path, tmp_path: Path) -> None:
    made = []
    for name, features in (("a", ["left", "right"]), ("b", ["right", "left"])):
        torch.manual_seed(1)
        recipe = Recipe(**DSE, pair={"features": features, "stages": [torch.nn.Linear(256, 1)]})
        report = embedkit_export.export(
            folder, output=tmp_path / name, recipe=recipe, sample=sample(tmp_path), variants=("fp32",), timing=False
        )
        made.append(report.path)
    vectors = np.random.default_rng(0).normal(size=(2, 128)).astype(np.float32)
    one, other = (Scorer.load(path).score(vectors, vectors[::-1]) for path in made)
    assert np.allclose(one, other[::-1], atol=1e-5)
    assert Encoder.load(made[0]).fingerprint != Encoder.load(made[1]).fingerprint
    (made[0] / "pair.onnx").write_bytes((made[1] / "pair.onnx").read_bytes() + b" ")
    with pytest.raises(BundleError):
        Scorer.load(made[0])


def test_what_cannot_score_pairs_is_refused(bundle: Path, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no head for pairs"):
        Scorer.load(bundle)
    for pair, error, message in (
        ({"stages": [], "features": ["sum"]}, InputError, "pair"),
        ({"stages": [torch.nn.Linear(5, 1)]}, ExportError, "does not take the 512 numbers"),
        ({"stages": [torch.nn.BatchNorm1d(2, track_running_stats=False)]}, ExportError, "pair: "),
    ):
        with pytest.raises(error, match=message):
            export(folder, Recipe(**DSE, pair=pair), tmp_path / "wrong")
