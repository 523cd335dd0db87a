"""``embedkit classify`` of pictures: by a head, and by the names of classes alone."""

from __future__ import annotations

import json

import numpy as np
import pytest

pytest.importorskip("PIL")

from PIL import Image

from embedkit import Encoder, ZeroShot
from embedkit.bundle.manifest import Matching
from helpers.commands import error
from helpers.image_bundles import COLORS, picture_bundle


@pytest.fixture
def photos(folder):
    (folder / "photos" / "more").mkdir(parents=True)
    for name in ("red", "white"):
        Image.new("RGB", (40, 30), COLORS[name]).save(folder / "photos" / f"{name}.png")
    Image.new("RGB", (20, 30), COLORS["green"]).save(folder / "photos" / "more" / "green.jpg")
    (folder / "photos" / "notes.txt").write_text("no picture")
    return folder / "photos"


def rows(out):
    return [json.loads(line) for line in out.splitlines()]


def test_a_head_for_classes(run, folder, photos):
    bundle = picture_bundle(folder / "colors", labels=list(COLORS))
    code, out, _ = run("classify", bundle, "photos", "photos/red.png")
    assert code == 0
    assert [(row["file"], row["class"]) for row in rows(out)] == [
        ("photos/more/green.jpg", "green"), ("photos/red.png", "red"), ("photos/white.png", "white"), ("photos/red.png", "red"),
    ]  # fmt: skip
    assert list(rows(out)[0]["probabilities"]) == list(COLORS)
    (photos / "broken.png").write_bytes((photos / "red.png").read_bytes()[:60])
    code, out, _ = run("classify", bundle, "photos", "gone.png", "--top", 2)
    assert code == 1
    found = {row["file"]: row for row in rows(out)}
    assert list(found) == [
        "photos/broken.png",
        "photos/more/green.jpg",
        "photos/red.png",
        "photos/white.png",
        "gone.png",
    ]
    assert "broken" in found["photos/broken.png"]["error"]
    assert "cannot be read" in found["gone.png"]["error"]
    assert next(iter(found["photos/red.png"]["probabilities"])) == "red"
    assert len(found["photos/red.png"]["probabilities"]) == 2
    table = run("classify", bundle, "photos", "--table")[1].splitlines()
    assert len(table) == 4
    assert table[2].split()[0] == "photos/red.png"
    assert table[2].split()[2] == "red"
    assert run("classify", bundle, "photos", "--prompts", "imagenet")[0] == 2


def test_the_names_of_classes(run, folder, photos):
    bundle = picture_bundle(folder / "both", texts=True, matching=Matching(fn="softmax", scale=20.0))
    (folder / "labels.txt").write_text("a cat\ntea\n\na railway\ntea\n")
    (folder / "prompts.txt").write_text("a photo of {}.\n{}\n")
    code, out, _ = run("classify", bundle, "photos", "--labels", "labels.txt", "--prompts", "prompts.txt")
    assert code == 0
    judge = ZeroShot(Encoder.load(bundle), ["a cat", "tea", "a railway"], prompts=["a photo of {}.", "{}"])
    files = [photos / "more" / "green.jpg", photos / "red.png", photos / "white.png"]
    wanted = judge.predict_proba(files)
    assert [row["class"] for row in rows(out)] == judge.predict(files)
    assert np.abs(np.array([list(row["probabilities"].values()) for row in rows(out)]) - wanted).max() < 1e-6
    assert "prompts, 1" not in error(run("classify", bundle, "photos", "--labels", "nowhere.txt"))
    assert "labels: expected a file" in error(run("classify", bundle, "photos", "--labels", "nowhere.txt"))
    assert "expected photo, imagenet, plain or a file" in error(
        run("classify", bundle, "photos", "--labels", "labels.txt", "--prompts", "nowhere")
    )
    assert "gives no numbers for classes" in error(run("classify", bundle, "photos"))
