"""A sample for each kind of what a model reads."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from embedkit import InputError
from embedkit.bundle.manifest import IdsFrontend, ImageFrontend, Part, TextFrontend, Truncate
from embedkit_export.verification.media.samples import named, samples
from helpers.pictures import folder

TEXT = TextFrontend(tokenizer="t", template=[Part(field="text")], truncate=Truncate(max=8))
IMAGE = ImageFrontend(size=[8, 8])


def plan(*frontends: Any) -> Any:
    roles = {str(i): SimpleNamespace(frontend=one, graph=str(i)) for i, one in enumerate(frontends)}
    return SimpleNamespace(roles=roles, graphs={name: SimpleNamespace(inputs=[]) for name in roles})


def test_one_of_each(tmp_path: Path) -> None:
    photos = folder(tmp_path / "photos", 3)[0].parent
    (tmp_path / "texts.txt").write_text("one\ntwo\nthree\n")
    found = samples(plan(TEXT, IMAGE), [tmp_path / "texts.txt", str(photos)])
    assert {kind: len(one.texts) for kind, one in found.items()} == {"text": 3, "image": 3}
    assert named(samples(plan(IMAGE), photos)) == "photos"
    assert named(samples(plan(IMAGE), None)) == "drawn pictures"
    assert named(samples(plan(IdsFrontend(size=9, max=4)), None)) == "random sequences of ids"


def test_what_the_model_does_not_read(tmp_path: Path) -> None:
    photos = folder(tmp_path / "photos", 3)[0].parent
    (tmp_path / "texts.txt").write_text("one\ntwo\n")
    with pytest.raises(InputError, match="reads image: expected a folder of pictures"):
        samples(plan(IMAGE), tmp_path / "texts.txt")
    with pytest.raises(InputError, match="reads text: expected texts"):
        samples(plan(TEXT), [tmp_path / "texts.txt", photos])
    with pytest.raises(InputError, match="expected one for image"):
        samples(plan(IMAGE), [photos, photos])
