"""Word: paragraphs, headings and tables in their order; bombs and broken files."""

from __future__ import annotations

import sys

import pytest

from embedkit.errors import MissingExtraError

from .conftest import assert_broken_files_are_bad_rows, repacked, rows_of, saved


@pytest.fixture
def document():
    import docx

    found = docx.Document()
    found.core_properties.title = "On tea"
    found.add_heading("Tea", 0)
    found.add_paragraph("It is hot.")
    found.add_heading("Kinds", 2)
    table = found.add_table(rows=2, cols=2)
    for at, text in enumerate(("kind", "°C", "green", "80\n85")):
        table.cell(at // 2, at % 2).text = text
    found.add_paragraph("")
    found.add_paragraph("Ende 🎉.")
    return found


def test_paragraphs_headings_and_tables_in_their_order(tmp_path, document):
    (row,) = rows_of(tmp_path, "a.docx", saved(document))
    assert row.text == "# Tea\n\nIt is hot.\n\n## Kinds\n\nkind | °C\ngreen | 80 85\n\nEnde 🎉."
    assert row.metadata == {"path": str(tmp_path / "a.docx"), "title": "On tea"}


def test_an_entity_is_not_expanded(tmp_path, document):
    (tmp_path / "secret").write_text("secret")
    declared = f'<!DOCTYPE w:document [<!ENTITY e SYSTEM "file://{tmp_path}/secret">]><w:document'

    def change(name: str, part: bytes) -> bytes:
        if name != "word/document.xml":
            return part
        return part.replace(b"<w:document", declared.encode(), 1).replace(b"It is hot.", b"It is &e;.")

    (row,) = rows_of(tmp_path, "a.docx", repacked(saved(document), change))
    assert "secret" not in getattr(row, "text", "")


def test_a_cell_that_spans_all_columns_of_the_world(tmp_path, document):
    """It was read as so many cells."""
    for span in (b"900000000", b"9" * 40, b"x"):
        spans = b'<w:tcPr><w:gridSpan w:val="%s"/>' % span
        (bad,) = rows_of(
            tmp_path, "a.docx", repacked(saved(document), lambda name, part, s=spans: part.replace(b"<w:tcPr>", s))
        )
        assert "span more than 1,000,000 columns" in bad.reason if span != b"x" else "it is broken" in bad.reason


def test_broken_files(tmp_path, document):
    assert_broken_files_are_bad_rows(tmp_path, "a.docx", saved(document))


def test_the_package_is_named(tmp_path, monkeypatch, document):
    raw = saved(document)
    monkeypatch.setitem(sys.modules, "docx", None)
    with pytest.raises(MissingExtraError, match=r"python-docx.*embedkit-onnx\[office\]"):
        rows_of(tmp_path, "a.docx", raw)
