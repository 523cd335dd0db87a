"""Tables whose rows name pictures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("PIL")

from embedkit.errors import InputError, OptionError
from embedkit.ingestion import FileRows
from embedkit.ingestion.rows.row import BadRow, SourcedDocument
from helpers.pictures import drawn, saved

ROWS: list[dict[str, Any]] = [
    {"file_name": "red.jpg", "text": "a red one", "year": 2024},
    {"file_name": "sub/blue.png", "text": None, "year": 2025},
]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    (tmp_path / "sub").mkdir()
    (tmp_path / "red.jpg").write_bytes(saved(drawn(60, 40), "JPEG"))
    (tmp_path / "sub" / "blue.png").write_bytes(saved(drawn(9, 7, 1)))
    path = tmp_path / "metadata.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return path


def test_json_lines(table: Path) -> None:
    first, second = FileRows([table], image_field="file_name")
    assert isinstance(first, SourcedDocument)
    assert isinstance(second, SourcedDocument)
    assert (first.id, first.text, second.id, second.text) == ("red.jpg", "a red one", "sub/blue.png", "sub/blue.png")
    assert {name: first.metadata[name] for name in ("year", "media", "width", "height", "uri")} == {
        "year": 2024, "media": "image", "width": 60, "height": 40, "uri": str(table.parent / "red.jpg"),
    }  # fmt: skip
    assert "file_name" not in first.metadata
    assert "path" not in first.metadata
    assert first.about["uri"] == first.place == str(table.parent / "red.jpg")


def test_csv_and_parquet(table: Path, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("key,picture,what\n1,red.jpg,one\n2,sub/blue.png,two\n")
    found = list(FileRows([tmp_path / "t.csv"], image_field="picture", id_field="key", text_field="what"))
    assert [(row.id, getattr(row, "text", "")) for row in found] == [("1", "one"), ("2", "two")]
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    parquet.write_table(arrow.table({"picture": ["red.jpg"], "what": ["one"]}), tmp_path / "t.parquet")
    (row,) = FileRows([tmp_path / "t.parquet"], image_field="picture", text_field="what", metadata_fields=["what"])
    assert isinstance(row, SourcedDocument)
    assert (row.id, row.metadata["what"], row.metadata["width"]) == ("red.jpg", "one", 60)
    with pytest.raises(InputError, match=r"no column 'image' among .*--image-field|no column 'image'"):
        list(FileRows([tmp_path / "t.csv"], image_field="image"))
    with pytest.raises(InputError, match="no column 'caption'"):
        list(FileRows([tmp_path / "t.csv"], image_field="picture", text_field="caption"))


def test_bad_rows_have_their_reasons(table: Path, tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("a text")
    rows = [
        {"file_name": "gone.jpg"},
        {"file_name": "text.jpg"},
        {"file_name": "http://a.b/c.jpg"},
        {"text": "none"},
        {"file_name": 7},
    ]
    table.write_text("".join(json.dumps(row) + "\n" for row in [*rows, {"file_name": "red.jpg", "id": "x"}]))
    found = list(FileRows([table], image_field="file_name"))
    reasons = [row.reason for row in found if isinstance(row, BadRow)]
    wanted = (
        "gone.jpg: cannot be read",
        "text.jpg: no picture",
        "nothing is fetched",
        "missing or null",
        "expected the name of a file",
    )
    for reason, part in zip(reasons, wanted, strict=True):
        assert part in reason
    assert [row.id for row in found] == ["gone.jpg", "text.jpg", "http://a.b/c.jpg", None, None, "x"]
    assert isinstance(found[0], BadRow)
    assert json.loads(found[0].row) == rows[0]


def test_below_a_root(table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tables").mkdir()
    moved = table.rename(tmp_path / "tables" / "metadata.jsonl")
    found = list(FileRows([moved], image_field="file_name", root=tmp_path))
    assert [getattr(row, "metadata", {}).get("uri") for row in found] == ["red.jpg", "sub/blue.png"]
    monkeypatch.chdir(tmp_path / "sub")
    again = list(FileRows(["../tables/metadata.jsonl"], image_field="file_name", root=".."))
    assert [getattr(row, "metadata", None) for row in again] == [getattr(row, "metadata", None) for row in found]
    assert all(Path(getattr(row, "place", "")).is_file() for row in again)
    outside = list(FileRows([tmp_path / "red.jpg"], format="image", root=tmp_path / "sub"))
    assert isinstance(outside[0], BadRow)
    assert "is not below the root" in outside[0].reason


def test_options_that_do_not_fit(table: Path) -> None:
    with pytest.raises(OptionError, match="names a field of tables"):
        FileRows([table.parent], format="image", image_field="file_name")
    rows = list(FileRows([table.parent], image_field="file_name").media("image"))
    assert [row.id for row in rows] == ["red.jpg", "sub/blue.png"], (
        "of a folder the table is read, and its pictures by it"
    )
