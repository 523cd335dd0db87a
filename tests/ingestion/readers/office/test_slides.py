"""PowerPoint: titles, texts, groups, tables and notes of slides."""

from __future__ import annotations

import pytest

from .conftest import assert_broken_files_are_bad_rows, rows_of, saved


@pytest.fixture
def shown():
    import pptx
    from pptx.util import Inches

    found = pptx.Presentation()
    found.core_properties.title = "On tea"
    slide = found.slides.add_slide(found.slide_layouts[1])
    slide.shapes.title.text = "Tea"
    slide.placeholders[1].text = "hot\ngreen"
    slide.notes_slide.notes_text_frame.text = "Say it slowly."
    bare = found.slides.add_slide(found.slide_layouts[6])
    group = bare.shapes.add_group_shape()
    group.shapes.add_textbox(0, 0, Inches(1), Inches(1)).text_frame.text = "in a group"
    table = bare.shapes.add_table(1, 2, 0, 0, Inches(2), Inches(1)).table
    table.cell(0, 0).text, table.cell(0, 1).text = "a", "b"
    found.slides.add_slide(found.slide_layouts[6])
    return found


def test_slides_in_their_order(tmp_path, shown):
    (row,) = rows_of(tmp_path, "a.pptx", saved(shown))
    assert row.text == "# Tea\n\nhot\ngreen\n\nSay it slowly.\n\nin a group\n\na | b"
    assert row.metadata == {"path": str(tmp_path / "a.pptx"), "title": "On tea", "slides": 3}


def test_broken_files(tmp_path, shown):
    assert_broken_files_are_bad_rows(tmp_path, "a.pptx", saved(shown))
