from __future__ import annotations

from pathlib import Path

import pytest

from embedkit import InputError
from embedkit.encoders.zero_shot.prompts import IMAGENET, PHOTO, lines_of, templates_of


def test_sets_files_and_templates(tmp_path: Path) -> None:
    assert templates_of("photo") == PHOTO == ("a photo of a {}.",)
    assert len(set(templates_of("imagenet"))) == 80
    assert {"itap of my {}.", "a bad photo of a {}.", "a tattoo of the {}."} <= set(IMAGENET)
    file = tmp_path / "prompts.txt"
    file.write_bytes("\ufeffein Foto: {}\n\n  a {} there \r\n".encode())
    assert templates_of(file) == templates_of(str(file)) == ("ein Foto: {}", "a {} there")
    assert templates_of(["{}"]) == templates_of("plain") == ("{}",)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["a photo"], r"prompts, 1: expected a text with \{\} once, .*found 'a photo'"),
        (["a {}", "{} and {}"], r"prompts, 2: .*found '\{\} and \{\}'"),
        ([], "at least one template"),
        ("a photo of a {}", "put it in a list"),
        ("imagnet", "expected photo, imagenet, plain or a file, found 'imagnet'"),
    ],
)
def test_what_is_no_template(given: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        templates_of(given)  # type: ignore[arg-type]


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_bytes(b"caf\xe9\n")
    with pytest.raises(InputError, match="not valid UTF-8"):
        lines_of(tmp_path / "labels.txt")
    with pytest.raises(Exception, match="directory"):
        lines_of(tmp_path)
