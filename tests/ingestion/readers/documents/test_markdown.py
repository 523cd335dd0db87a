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
            ("a: !!python/object/apply:os.system [ls]", "could not determine a constructor"),
            ("a: " + "[" * 5_000, "front matter"),
            ("a: 2024-99-99", "front matter: month must be"),
        ],
    )
    def test_broken_front_matter_is_a_bad_row(self, tmp_path, front, reason):
        row = one(tmp_path, f"---\n{front}\n---\ntext", "a.md")
        assert reason in row.reason
        assert row.format.startswith("file:")

    def test_without_the_package_only_front_matter_is_an_error(self, tmp_path, monkeypatch):
        monkeypatch.setitem(sys.modules, "yaml", None)
        assert one(tmp_path, "text", "a.md").text == "text"
        with pytest.raises(MissingExtraError, match=r"embedkit-onnx\[markdown\]"):
            one(tmp_path, "---\na: 1\n---\ntext", "a.md")
