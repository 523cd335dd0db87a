"""HTML: a file is one document."""

from __future__ import annotations

import sys
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
        assert "not valid UTF-8" in one(tmp_path, b"<p>na\xefve", "a.html").reason
        assert "not valid shift_jis: byte 0xa0 at 24" in one(tmp_path, b"<meta charset=x-sjis><p>\xa0", "a.html").reason
        assert "not valid replacement" in one(tmp_path, b"<meta charset=hz-gb-2312><p>x", "a.html").reason
        assert one(tmp_path, b"<meta charset=klingon><p>x", "a.html").text == "x"
        assert one(tmp_path, b"<meta charset=hex><p>x", "a.html").text == "x"

    @pytest.mark.parametrize(
        ("label", "raw", "text"),
        [
            ("iso-8859-1", b"\x93so\x94 \x80 5", "“so” € 5"),
            ("us-ascii", b"na\xefve", "naïve"),
            ("shift_jis", b"\x87@\x81`", "①～"),
            ("x-sjis", b"\x93\xfa", "日"),
            ("gb2312", b"\x80", "€"),
            ("gb2312", b"\xe9F", "镕"),
            ("ks_c_5601-1987", b"\x8cc", "똠"),
        ],
    )
    def test_labels_are_what_browsers_take_them_for(self, tmp_path, label, raw, text):
        assert one(tmp_path, b"<meta charset=" + label.encode() + b"><p>" + raw, "a.html").text == text

    def test_a_byte_order_mark_comes_before_what_is_declared(self, tmp_path):
        page = "<meta charset=iso-8859-1><p>naïve"
        for encoding in ("utf-8-sig", "utf-16"):
            assert one(tmp_path, page.encode(encoding), "a.html").text == "naïve"
        assert one(tmp_path, b"\xfe\xff" + page.encode("utf-16-be"), "a.html").text == "naïve"

    def test_a_comment_declares_nothing(self, tmp_path):
        assert one(tmp_path, "<!-- <meta charset=iso-8859-1> --><p>naïve".encode(), "a.html").text == "naïve"

    @pytest.mark.parametrize(
        ("markup", "title"),
        [
            ("<svg><title>Icon</title></svg><p>x", None),
            ("<body><svg><g><title>Icon</title></g></svg><title>Page</title>x", "Page"),
            ("<title>Page</title><svg><title>Icon</title></svg>x", "Page"),
            ("<template><title>T</title></template>x", None),
            ("<title>A &amp;\n B</title><title>C</title>x", "A & B"),
            ("<title></title><svg><title>Icon</title></svg>x", None),
            ("<math><title>M</title></math>x", None),
        ],
    )
    def test_the_title_is_the_pages_own(self, tmp_path, markup, title):
        row = one(tmp_path, markup, "a.html")
        assert row.metadata.get("title") == title
        assert "Icon" not in row.text
        assert "Page" not in row.text

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
