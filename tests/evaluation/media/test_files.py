from __future__ import annotations

import json
from pathlib import Path

import pytest

from embedkit.errors import InputError
from embedkit.evaluation.media.files import beside, captioned, classed


def test_captions_one_or_several(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    path.write_text('{"file_name": "a.jpg", "caption": ["one", "two"]}\n{"file_name": "b/c.jpg", "caption": "three"}\n')
    found = [(image, texts) for _, image, texts in captioned(path)]
    assert found == [(tmp_path / "a.jpg", ["one", "two"]), (tmp_path / "b" / "c.jpg", ["three"])]
    (tmp_path / "c.csv").write_text(f"image,text\n{tmp_path / 'x.jpg'},words\n")
    assert [image for _, image, _ in captioned(tmp_path / "c.csv")] == [tmp_path / "x.jpg"]


@pytest.mark.parametrize(
    "row",
    [
        {"image": "a", "caption": []},
        {"image": "a", "caption": " "},
        {"image": "a", "caption": [3]},
        {"image": 3, "caption": "x"},
    ],
)
def test_what_is_no_caption(row: dict[str, object], tmp_path: Path) -> None:
    (tmp_path / "c.jsonl").write_text(json.dumps(row) + "\n")
    with pytest.raises(InputError, match="line 1"):
        list(captioned(tmp_path / "c.jsonl"))


def test_columns_that_are_not_there(tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_text("picture,words\na,b\n")
    with pytest.raises(InputError, match="expected the columns image or audio or file_name"):
        list(captioned(tmp_path / "c.csv"))
    (tmp_path / "e.jsonl").write_text("")
    with pytest.raises(InputError, match="at least one record"):
        list(captioned(tmp_path / "e.jsonl"))


def test_labels_of_pictures_and_of_texts(tmp_path: Path) -> None:
    (tmp_path / "l.csv").write_text("image,label\na.jpg,cat\n")
    (tmp_path / "t.csv").write_text("text,label\nwords,3\n")
    assert [(item, label) for _, item, label, _ in classed(tmp_path / "l.csv")] == [(tmp_path / "a.jpg", "cat")]
    assert [(item, label) for _, item, label, _ in classed(tmp_path / "t.csv")] == [("words", "3")]
    (tmp_path / "bad.csv").write_text("image,label\na.jpg,\n")
    with pytest.raises(InputError, match='in "label"'):
        list(classed(tmp_path / "bad.csv"))


def test_pictures_at_an_address_are_refused() -> None:
    with pytest.raises(InputError, match="copy this file here") as refused:
        beside("https://host/birds.csv?key=secret", "a.png")
    assert "secret" not in str(refused.value)
