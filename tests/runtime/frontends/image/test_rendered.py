"""Texts that were drawn, or are by a function of the user's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from embedkit import InputError
from embedkit.bundle.manifest import ImageFrontend, Pad
from embedkit.runtime.frontends.image.modality import ImageModality
from embedkit.runtime.frontends.image.rendered import as_drawn

SIZE = [4, 12]
FRONTEND = ImageFrontend(size=SIZE, steps=[Pad(size=SIZE, fill=[255] * 3, place="corner")], source="rendered")


def line(text: str) -> np.ndarray:
    """A column of ink for each character."""
    made = np.full((4, max(1, len(text))), 255, np.uint8)
    for place, character in enumerate(text):
        made[: ord(character) % 4 + 1, place] = 0
    return made


def modality(renderer: Any = line) -> ImageModality:
    made = ImageModality(FRONTEND, [])
    if renderer is not None:
        assert made.render_with(renderer)
    return made


def test_a_text_is_drawn_and_filled_up_with_white() -> None:
    item = modality().check("abc", "x")
    assert item.shape == (4, 3, 3)
    assert np.array_equal(item, modality(None).check(line("abc"), "x")), "an array needs no renderer"
    assert np.array_equal(modality().check(item, "x"), item), "what was checked stays"
    (batch,) = modality().open(lambda name: Path(name)).batches([item], 1000, None)
    pixels = batch.tensors(1)["pixels"][0]
    assert pixels.shape == (4, 12, 3)
    assert np.array_equal(pixels[:, :3], item)
    assert (pixels[:, 3:] == 255).all()


@pytest.mark.parametrize(
    ("value", "renderer", "problem"),
    [
        ("abc", None, "x: this role reads texts that were drawn.*load the bundle with renderer="),
        ("", line, "x: nothing is drawn on it"),
        ("   " * 8, lambda text: np.full((4, 2), 255, np.uint8), "nothing is drawn on it"),
        ("abc" * 5, line, "x: drawn 15 x 4 pixels large, and the model reads 12 x 4"),
        ("a", lambda text: np.zeros((4, 4)), "expected the renderer to give .* found \\(4, 4\\) of float64"),
        ("a", lambda text: None, "expected the renderer to give"),
        (np.zeros((5, 5, 3), np.uint8), line, "drawn 5 x 5 pixels large"),
        (7, line, "expected a picture"),
    ],
)
def test_what_cannot_be_read_is_named(value: Any, renderer: Any, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        modality(renderer).check(value, "x")


def test_a_role_of_pictures_draws_nothing() -> None:
    pictures = ImageModality(ImageFrontend(size=SIZE), [])
    assert not pictures.render_with(line)
    with pytest.raises(InputError, match="a string is a text"):
        pictures.check("abc", "x")
    path = Path("a.png")
    assert as_drawn(FRONTEND, path, None, "x") is path


def test_rows_and_command_lines_give_the_text() -> None:
    assert modality().fill("a b") == "a b"
    assert modality().of_row("a b", {"uri": "c.png"}) == "a b"
