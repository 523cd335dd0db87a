"""Classes and probabilities, against numpy."""

from __future__ import annotations

import inspect
from pathlib import Path

import numpy as np
import pytest

from embedkit import Classifier, Encoder, InputError, Reranker
from embedkit.testing.tiny import tiny_bundle
from helpers.image_bundles import picture_bundle
from helpers.small_bundles import DIM, eighths, sums, with_logits

TEXTS = ["hello", "", "a", "héllo 日本語", "another text", "hello"]
NAMES = ["news", "sport", "weather"]
HEAD = eighths(DIM, 3) / 8


@pytest.fixture(scope="module")
def logits(tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    """(n, 3) of the texts, in float64."""
    plain = tiny_bundle(tmp_path_factory.mktemp("plain") / "bundle", dim=DIM, kinds=("dense", "multivector"))
    return sums(plain, TEXTS).astype(np.float64) @ HEAD


def test_one_class_of_all(tmp_path: Path, logits: np.ndarray) -> None:
    classifier = Classifier.load(with_logits(tmp_path / "bundle", HEAD, labels=NAMES))
    assert (classifier.labels, classifier.multilabel) == (NAMES, False)
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    found = classifier.predict_proba(TEXTS)
    assert found.dtype == np.float32
    assert np.abs(found - expected).max() < 1e-6
    assert classifier.predict(TEXTS) == [NAMES[i] for i in logits.argmax(axis=1)]
    assert len(set(classifier.predict(TEXTS))) > 1
    assert classifier.predict(TEXTS[3]) == classifier.predict(TEXTS)[3]
    assert classifier.predict([]) == []
    for i, text in enumerate(TEXTS):
        assert classifier.predict_proba([text]).tobytes() == found[i].tobytes()


def test_each_class_by_itself(tmp_path: Path, logits: np.ndarray) -> None:
    classifier = Classifier.load(with_logits(tmp_path / "bundle", HEAD, labels=NAMES, activation="sigmoid"))
    expected = 1 / (1 + np.exp(-logits))
    assert classifier.multilabel
    assert np.abs(classifier.predict_proba(TEXTS) - expected).max() < 1e-6
    for threshold in (0.0, 0.3, 0.5, 1.0):
        found = classifier.predict(TEXTS, threshold=threshold)
        assert found == [[NAMES[i] for i in range(3) if row[i] >= threshold] for row in expected.astype(np.float32)]
    assert isinstance(classifier.predict("hello"), list)


def test_one_number_without_a_name_is_decided_by_itself(tmp_path: Path, logits: np.ndarray) -> None:
    classifier = Classifier.load(with_logits(tmp_path / "bundle", HEAD[:, :1].copy()))
    assert (classifier.labels, classifier.multilabel) == (["0"], True)
    assert np.abs(classifier.predict_proba(TEXTS)[:, 0] - 1 / (1 + np.exp(-logits[:, 0]))).max() < 1e-6


def test_what_is_refused(tmp_path: Path, bundle: Path) -> None:
    with pytest.raises(InputError, match=r"no numbers for classes or pairs, but dense \(dense\)"):
        Classifier.load(bundle)
    classifier = Classifier.load(with_logits(tmp_path / "bundle", HEAD))
    for threshold in (-0.1, 1.1, float("nan")):
        with pytest.raises(InputError, match="threshold: expected a number from 0 to 1"):
            classifier.predict("a", threshold=threshold)
    with pytest.raises(InputError, match="text 1: expected a string, found int"):
        classifier.predict(["a", 2])


def test_of_equally_probable_classes_the_first(tmp_path: Path) -> None:
    classifier = Classifier.load(with_logits(tmp_path / "bundle", np.zeros((DIM, 3), np.float32), labels=NAMES))
    assert classifier.predict(["a", "b"]) == ["news", "news"]


def test_it_is_loaded_by_the_options_of_an_encoder(tmp_path: Path, bundle: Path) -> None:
    pytest.importorskip("PIL")
    options = inspect.signature(Encoder.load).parameters.keys()
    assert options == inspect.signature(Classifier.load).parameters.keys()
    assert options == inspect.signature(Reranker.load).parameters.keys()
    path = picture_bundle(tmp_path / "pictures", labels=["black", "red"])
    assert Classifier.load(path, decode="fast").encoder.fingerprint == Encoder.load(path, decode="fast").fingerprint
    assert Classifier.load(path).encoder.fingerprint != Classifier.load(path, decode="fast").encoder.fingerprint
    with pytest.raises(InputError, match="decode: 'fast' is how pictures are read, and this bundle reads none"):
        Classifier.load(bundle, decode="fast")
    with pytest.raises(InputError, match="renderer"):
        Reranker.load(bundle, renderer=lambda text: np.zeros((8, 8, 3), np.uint8))
