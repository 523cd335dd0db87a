"""Labels by the nearest others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("PIL")

from PIL import Image

from embedkit import Encoder, Hit, InputError, knn
from embedkit.evaluation import Neighbours, evaluate
from helpers.image_bundles import picture_bundle


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    return Encoder.load(picture_bundle(tmp_path_factory.mktemp("b") / "b"))


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(5)
    lines = ["image,label,split"]
    for number in range(40):
        color = rng.integers(0, 256, 3)
        Image.new("RGB", (9, 9), tuple(color.tolist())).save(where / f"{number}.png")
        lines.append(
            f"{number}.png,{'warm' if color[0] + rng.integers(-60, 60) > color[2] else 'cold'},{'test' if number % 4 == 0 else 'train'}"
        )
    (where / "l.csv").write_text("\n".join(lines) + "\n")
    return where / "l.csv"


@pytest.mark.parametrize(("k", "temperature"), [(5, 0.07), (200, 0.5)])
@pytest.mark.parametrize("split", [True, False])
def test_it_is_the_vote_of_knn(encoder: Encoder, file: Path, k: int, temperature: float, split: bool) -> None:
    task = Neighbours.read(file, k=k, temperature=temperature)
    task = task if split else Neighbours("here", task.items, task.classes, (), k, temperature)
    found = evaluate(task, {"one": encoder}, resamples=10).results[0].estimates
    vectors = encoder.encode(list(task.items)).astype(np.float64)
    right = []
    for i in range(len(task.items)):
        if split and not task.test[i]:
            continue
        others = [j for j in range(len(task.items)) if (not task.test[j] if split else j != i)]
        hits = [Hit(str(j), float(vectors[i] @ vectors[j]), "", {"label": task.classes[j]}) for j in others]
        right.append(next(iter(knn(hits, temperature=temperature, k=k))) == task.classes[i])
    assert found["accuracy"].value == pytest.approx(np.mean(right))
    assert task.size["of them judged"] == len(right)


def test_what_cannot_be_judged(file: Path, tmp_path: Path) -> None:
    for rows, message in (
        ("image,label\na,x\nb,x\nc,x\n", "two labels"),
        ("image,label,split\na,x,test\nb,y,test\nc,y,test\n", "all the same in split"),
        ("image,label,split\na,x,test\nb,y,\nc,y,train\n", "of every record"),
        ("image,label,split\na,x,half\n", 'train or test in "split"'),
    ):
        (tmp_path / "l.csv").write_text(rows)
        with pytest.raises(InputError, match=message):
            Neighbours.read(tmp_path / "l.csv")
    with pytest.raises(InputError, match="temperature"):
        Neighbours.read(file, temperature=0)
