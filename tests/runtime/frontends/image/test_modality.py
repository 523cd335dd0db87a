"""What is a picture, what is refused, and batches that are prepared late."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from embedkit import Image, InputError
from embedkit.bundle.manifest import ImageFrontend, Resize
from embedkit.runtime.frontends.base import Unencodable
from embedkit.runtime.frontends.image import modality as module
from embedkit.runtime.frontends.image.modality import ImageModality
from embedkit.runtime.frontends.image.pixels import Prepared
from helpers.pictures import drawn, folder, saved

FRONTEND = ImageFrontend(size=[16, 16], steps=[Resize(size=[16, 16])], slots=10)
ARRAY = np.zeros((4, 5, 3), np.uint8)


def made() -> ImageModality:
    return ImageModality(FRONTEND, [])


@pytest.mark.parametrize(
    ("value", "is_one"),
    [
        (Path("a.png"), True),
        (Image(b"x"), True),
        (drawn(), True),
        (ARRAY, True),
        (ARRAY[..., 0], True),
        (ARRAY[None], False),
        ("a.png", True),
        (b"x", True),
        ([Path("a.png")], False),
        ((), False),
        (7, False),
    ],
)
def test_what_is_one_picture(value: Any, is_one: bool) -> None:
    assert made().is_item(value) is is_one


@pytest.mark.parametrize("value", [Path("a.png"), Image(b"x"), drawn(), ARRAY, Prepared(ARRAY)])
def test_what_was_checked_stays_as_it_is(value: Any) -> None:
    assert made().check(value, "x") is value


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("cat.jpg", r"image 3: a string is a text, .*give pathlib\.Path\('cat\.jpg'\)"),
        (b"\x89PNG", r"image 3: found bytes; give embedkit\.Image"),
        (ARRAY[..., :2], r"image 3: expected pixels .* found an array \(4, 5, 2\) of uint8"),
        (ARRAY.astype(np.float32), "image 3: expected pixels .* of float32"),
        (ARRAY[..., 0], r"image 3: expected pixels .* found an array \(4, 5\)"),
        (7, "image 3: expected a picture .*found int 7"),
        (None, "image 3: expected a picture"),
    ],
)
def test_what_is_no_picture_is_named(value: Any, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        made().check(value, "image 3")


@pytest.mark.parametrize("data", ["text", bytearray(b"x"), None])
def test_an_image_is_made_of_bytes(data: Any) -> None:
    with pytest.raises(InputError, match="expected the bytes of a picture's file"):
        Image(data)


def test_equal_bytes_are_one(tmp_path: Path) -> None:
    modality, data = made(), saved(drawn())
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(data)
    keys = {modality.key(item) for item in (tmp_path / "a.png", tmp_path / "b.png", Image(data))}
    assert len(keys) == 1
    other = [Image(saved(drawn(seed=1))), ARRAY, ARRAY.reshape(5, 4, 3), Prepared(ARRAY), tmp_path / "missing", drawn()]
    assert len({*keys, *map(modality.key, other)}) == 1 + len(other)


def test_cost_is_what_is_held() -> None:
    modality = made()
    assert (
        modality.cost(Path("a"))
        < modality.cost(Image(bytes(1 << 16)))
        < modality.cost(np.zeros((999, 999, 3), np.uint8))
    )


def test_what_a_text_and_a_row_stand_for() -> None:
    assert made().fill("a/b.png") == Path("a/b.png")
    assert made().of_row("caption", {"uri": "x.png"}) == Path("x.png")
    assert made().of_row("y.png", {}) == Path("y.png")


def test_batches_of_as_many_as_the_budget_has_slots_for(tmp_path: Path) -> None:
    paths = folder(tmp_path, 7)
    preparer = made().open(lambda name: pytest.fail(name))
    assert [len(batch.rows) for batch in preparer.batches(paths, 35, None)] == [3, 3, 1]
    assert [len(batch.rows) for batch in preparer.batches(paths, 1, None)] == [1] * 7
    (whole,) = preparer.batches(paths, 1000, None)
    pixels = whole.tensors(9)["pixels"]
    assert (pixels.shape, pixels.dtype, whole.tokens) == ((9, 16, 16, 3), np.uint8, 70)
    assert not pixels[7:].any()
    for path, found in zip(paths, pixels, strict=False):
        alone = preparer.batches([path], 1, None)[0].tensors(1)["pixels"][0]
        assert np.array_equal(found, alone)


def test_nothing_is_decoded_before_its_batch_is_computed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Any] = []
    real = module.prepared
    monkeypatch.setattr(module, "prepared", lambda frontend, item: opened.append(item) or real(frontend, item))
    batches = made().open(lambda name: pytest.fail(name)).batches(folder(tmp_path, 5), 20, None)
    assert opened == []
    batches[1].tensors(2)
    assert len(opened) == 2


def test_a_picture_that_cannot_be_read_is_told_by_its_place(tmp_path: Path) -> None:
    paths = folder(tmp_path, 3)
    paths[1].write_bytes(b"a text")
    (batch,) = made().open(lambda name: pytest.fail(name)).batches([*paths, tmp_path / "none.png"], 1000, None)
    with pytest.raises(Unencodable) as error:
        batch.tensors(4)
    assert error.value.number == 1
    assert error.value.reason.startswith(f"{paths[1]}: no picture: expected JPEG")
