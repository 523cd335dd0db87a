"""Typed media."""

from __future__ import annotations

import pickle

import pytest

from embedkit import InputError
from embedkit.records.media import Image


def test_an_image_is_its_bytes_and_does_not_print_them() -> None:
    made = Image(b"abc")
    assert (made, hash(made)) == (Image(b"abc"), hash(Image(b"abc")))
    assert pickle.loads(pickle.dumps(made)) == made
    assert repr(made) == "Image()"


def test_a_path_is_no_image() -> None:
    with pytest.raises(InputError, match=r"give its pathlib\.Path as it is"):
        Image("a.png")  # type: ignore[arg-type]
