"""Classes by their names, measured."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("PIL")

from PIL import Image

from embedkit import Encoder, InputError, ZeroShot
from embedkit.evaluation import NamedClasses, evaluate
from embedkit.evaluation.tasks.named import class_measures
from helpers.image_bundles import COLORS, picture_bundle

judges = pytest.importorskip("sklearn.metrics")


def test_measures_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(2)
    scores, wanted = rng.normal(size=(40, 7)).astype(np.float32), rng.integers(0, 6, 40)
    found = class_measures(scores, wanted)
    rows = rng.integers(0, 40, 40)
    got = found.statistic(rows)
    said = scores.argmax(axis=1)
    assert got["accuracy"] == pytest.approx(judges.accuracy_score(wanted[rows], said[rows]))
    assert got["top@5"] == pytest.approx(judges.top_k_accuracy_score(wanted[rows], scores[rows], k=5, labels=range(7)))
    assert got["class_accuracy"] == pytest.approx(
        judges.recall_score(wanted[rows], said[rows], labels=np.unique(wanted[rows]), average="macro")
    )


def test_from_a_file(tmp_path: Path) -> None:
    encoder = Encoder.load(picture_bundle(tmp_path / "b", texts=True))
    for name, color in COLORS.items():
        Image.new("RGB", (9, 9), color).save(tmp_path / f"{name}.png")
    (tmp_path / "l.csv").write_text("image,label\n" + "".join(f"{name}.png,a {name} one\n" for name in COLORS))
    (tmp_path / "labels.txt").write_text("".join(f"a {name} one\n" for name in COLORS) + "a grey one\n")
    task = NamedClasses.read(tmp_path / "l.csv", labels=tmp_path / "labels.txt", prompts=["{}", "a photo of {}"])
    assert task.size == {"pictures": 8, "labels": 9, "prompts a label": 2}
    found = evaluate(task, {"one": encoder}, resamples=0).results[0].estimates
    judge = ZeroShot(encoder, task.labels, prompts=task.prompts, scale=30)
    said = judge.predict([tmp_path / f"{name}.png" for name in COLORS])
    assert found["accuracy"].value == np.mean([one == f"a {name} one" for one, name in zip(said, COLORS, strict=True)])
    assert found["top@5"].value >= found["accuracy"].value
    (tmp_path / "labels.txt").write_text("a red one\na grey one\n")
    with pytest.raises(InputError, match="labels that are in --labels, found 'a black one'"):
        NamedClasses.read(tmp_path / "l.csv", labels=tmp_path / "labels.txt")
    assert len(NamedClasses.read(tmp_path / "l.csv").labels) == 8
