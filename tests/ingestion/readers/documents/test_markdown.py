"""Markdown: a file is one document, with its front matter as metadata."""

from __future__ import annotations

import sys
from datetime import date

import pytest

from embedkit.errors import MissingExtraError
from embedkit.ingestion import FileRows


def one(folder, raw, name, **options):
    (folder / name).write_bytes(raw if isinstance(raw, bytes) else raw.encode())
    (row,) = FileRows([name], **options)
    return row


class TestMarkdown:
    @pytest.fixture(autouse=True)
    def _yaml(self):
        pytest.importorskip("yaml")

    def test_front_matter_is_metadata(self, tmp_path):
        text = "---\ntitle: Tea\ndate: 2024-01-02\ntags: [a, b]\n2020: x\nnone:\n---\n\n# Head\n\nText.\n"
        row = one(tmp_path, text, "tea.md")
        assert (row.id, row.text) == ("tea.md", "# Head\n\nText.\n")
        assert row.metadata == {
            "path": "tea.md",
            "title": "Tea",
            "date": date(2024, 1, 2),
            "tags": ["a", "b"],
            "2020": "x",
            "none": None,
        }
        assert one(tmp_path, text, "tea.md", metadata_fields=["title"]).metadata == {"title": "Tea"}

    @pytest.mark.parametrize(
        "text",
        ["# Head\n\n---\na: b\n---\n", "---\nno end", "text", "", "----\na: b\n---\n", " ---\na: b\n---\n"],
    )
    def test_what_is_none_stays(self, tmp_path, text):
        row = one(tmp_path, text, "a.md")
        assert (row.text, row.metadata) == (text, {"path": "a.md"})

    def test_empty_front_matter_and_crlf(self, tmp_path):
        assert one(tmp_path, "---\n---\ntext", "a.md").text == "text"
        row = one(tmp_path, b"\xef\xbb\xbf---\r\na: 1\r\n---\r\ntext\r\n", "a.md")
        assert (row.text, row.metadata["a"]) == ("text\r\n", 1)

    @pytest.mark.parametrize(
        ("front", "reason"),
        [
            ("a: [1", "front matter: while parsing"),
            ("- a\n- b", "expected 'key: value' lines, found list"),
            ("a: &x [1]\nb: [*x, *x]", "aliases"),
            (
                "a: !!python/object/apply:os.system [ls]",
                "the tag tag:yaml.org,2002:python/object/apply:os.system is not read",
            ),
            ("a: " + "[" * 5_000, "front matter"),
            ("title: Tea: a history", "front matter: mapping values are not allowed here"),
        ],
    )
    def test_broken_front_matter_is_told_and_its_text_is_kept(self, tmp_path, front, reason, caplog):
        """The whole file was a bad row."""
        text = f"---\n{front}\n---\ntext"
        row = one(tmp_path, text, "a.md")
        (told,) = caplog.messages
        assert told.startswith("a.md: front matter: ")
        assert reason in told
        assert (row.id, row.text, row.metadata) == ("a.md", text, {"path": "a.md"})

    def test_a_thematic_break_is_text(self, tmp_path, caplog):
        for text in ("---\n\nNote: this is prose.\n\n---\n\nMore.\n", "---\nProse.\n---\nMore.\n"):
            row = one(tmp_path, text, "a.md")
            assert (row.text, row.metadata) == (text, {"path": "a.md"})
        assert not caplog.messages

    def test_without_the_package_only_front_matter_is_an_error(self, tmp_path, monkeypatch):
        monkeypatch.setitem(sys.modules, "yaml", None)
        assert one(tmp_path, "text", "a.md").text == "text"
        with pytest.raises(MissingExtraError, match=r"embedkit-onnx\[markdown\]"):
            one(tmp_path, "---\na: 1\n---\ntext", "a.md")
