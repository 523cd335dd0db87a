"""Files that are one document each: Markdown and HTML."""

from __future__ import annotations

import sys
from datetime import date
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedkit.errors import MissingExtraError
from embedkit.ingestion import FileRows
from embedkit.system.files import lines as pieces


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


class TestHTML:
    @pytest.fixture(autouse=True)
    def _selectolax(self):
        pytest.importorskip("selectolax")

    def test_blocks_are_lines_and_the_title_is_metadata(self, tmp_path):
        markup = """<!doctype html><html><head><title> A
        page</title><style>p { color: red }</style></head><body><nav><a>menu</a></nav>
        <h1>Head</h1><p>Some <b>bold</b>,
        and <i>more</i>&nbsp;&amp; more.</p><ul><li>one<li>two</ul><pre>a
  b</pre>x<br>y<script>var text = "</p>"</script><!-- c --><table><tr><td>1</td><td>2</td></tr></table>
        </body></html>"""
        row = one(tmp_path, markup, "a.html")
        assert row.text == "Head\n\nSome bold, and more & more.\n\none\ntwo\n\na\n  b\n\nx\ny\n\n1\n2"
        assert (row.id, row.metadata) == ("a.html", {"path": "a.html", "title": "A page"})

    def test_other_encodings_are_read_when_they_are_declared(self, tmp_path):
        page = '<meta charset="{}"><p>naïve – 日本</p>'
        for name in ("utf-8", "shift_jis"):
            text = page.format(name) if name == "utf-8" else page.format(name).replace("ï", "i").replace("–", "-")
            assert "日本" in one(tmp_path, text.encode(name), "a.html").text
        assert one(tmp_path, "<meta charset=utf-16><p>日本".encode(), "a.html").text == "日本"
        assert "not valid idna" in one(tmp_path, b"<meta charset=idna><p>\xff", "a.html").reason
        assert "not valid UTF-8" in one(tmp_path, b"<p>na\xefve", "a.html").reason
        assert "unknown encoding: klingon" in one(tmp_path, b"<meta charset=klingon><p>x", "a.html").reason
        assert "not a text encoding" in one(tmp_path, b"<meta charset=hex><p>x", "a.html").reason

    @pytest.mark.parametrize(
        "markup", ["", "<", "<p", "plain", "<div>" * 5_000 + "deep", "</p></body>late", "<frameset><frame></frameset>"]
    )
    def test_nothing_breaks_it(self, tmp_path, markup):
        row = one(tmp_path, markup, "a.html")
        for word in ("plain", "deep", "late"):
            assert (word in row.text) == (word in markup)

    def test_a_huge_page_is_bad(self, tmp_path, monkeypatch):
        monkeypatch.setattr(pieces, "MAX_BYTES", 10)
        assert "longer than 10 bytes" in one(tmp_path, "<p>" + "x" * 100, "a.html").reason

    @given(
        st.lists(
            st.sampled_from(["<p>", "</p>", "<div>", "</div>", "<b>", "</b>", "<br>", "<li>", "w1", "w2 ", " w3", "\n"])
        )
    )
    def test_the_words_are_those_another_parser_finds(self, parts):
        from embedkit.ingestion.readers.documents.html import page

        class Reference(HTMLParser):
            words = ""

            def handle_data(self, data):
                self.words += data

        reference = Reference()
        reference.feed("".join(parts))
        reference.close()
        assert "".join(page("".join(parts))[1].split()) == "".join(reference.words.split())

    def test_without_the_package_the_extra_is_named(self, tmp_path, monkeypatch):
        monkeypatch.setitem(sys.modules, "selectolax.lexbor", None)
        with pytest.raises(MissingExtraError, match=r"embedkit-onnx\[html\]"):
            one(tmp_path, "<p>x", "a.html")
