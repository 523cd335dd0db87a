"""Classes by their names, measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

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


def test_the_sets_of_a_bundle(tmp_path: Path) -> None:
    path = picture_bundle(tmp_path / "b", texts=True)
    manifest = json.loads((path / "embedkit.json").read_text())
    own = {"ours": ["one {} thing", "all {}"], "photo": ["our photo of {}"]}
    (path / "embedkit.json").write_text(json.dumps(manifest | {"prompts": own}))
    encoder = Encoder.load(path)
    lines = ["image,label"]
    for name, color in COLORS.items():
        Image.new("RGB", (9, 9), color).save(tmp_path / f"{name}.png")
        lines.append(f"{name}.png,a {name} one")
    (tmp_path / "l.csv").write_text("\n".join(lines))

    def accuracy(**options: Any) -> float:
        task = NamedClasses.read(tmp_path / "l.csv", **options)
        return evaluate(task, {"one": encoder}, resamples=0).results[0].estimates["accuracy"].value

    for name in own:  # a set of the bundle comes before a known one of its name
        wanted = ZeroShot(encoder, sorted(f"a {one} one" for one in COLORS), prompts=own[name], scale=100)
        said = wanted.predict([tmp_path / f"{color}.png" for color in COLORS])
        right = np.mean([one == f"a {color} one" for one, color in zip(said, COLORS, strict=True)])
        assert accuracy(prompts=name) == accuracy(prompts=own[name]) == right
    with pytest.raises(InputError, match="prompts: this bundle has several sets; name one of ours, photo"):
        accuracy()
    with pytest.raises(InputError, match="prompts: expected photo, imagenet, plain, ours or a file, found 'other'"):
        accuracy(prompts="other")
    (path / "embedkit.json").write_text(json.dumps(manifest | {"prompts": {"ours": own["ours"]}}))
    encoder = Encoder.load(path)
    assert accuracy() == accuracy(prompts=own["ours"])
