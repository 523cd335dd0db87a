"""HTML: a page is one document of its visible text, with its title as metadata."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO

from embedkit.ingestion.readers.source import Source
from embedkit.ingestion.rows.fields import Fields
from embedkit.ingestion.rows.row import Row
from embedkit.system.extras import needed
from embedkit.system.files.encodings import decode
from embedkit.system.files.lines import TooLong, not_utf8, whole

from .charset import charset

_DROPPED = {"script", "style", "nav", "noscript", "template", "svg", "iframe", "object", "head", "select", "button"}
_DROPPED |= {"title"}
_FOREIGN = {"svg", "math", "template"}
_PARAGRAPHS = {"article", "blockquote", "dl", "figure", "main", "ol", "p", "pre", "section", "table", "ul"}
_PARAGRAPHS |= {f"h{level}" for level in range(1, 7)}
_BLOCKS = _PARAGRAPHS | {"address", "aside", "body", "dd", "details", "dialog", "div", "dt", "fieldset", "figcaption"}
_BLOCKS |= {"footer", "form", "header", "hr", "li", "summary", "tbody", "td", "tfoot", "th", "thead", "tr"}


def read_html(file: BinaryIO, source: Source, fields: Fields) -> Iterator[Row]:
    """The one document of a page: blocks stand on lines of their own, scripts, styles and navigation are left out.

    Its encoding is found as a browser finds it (`embedkit.ingestion.readers.documents.charset`); where the page tells none,
    it is UTF-8. Raises `MissingExtraError` without selectolax.
    """
    try:
        title, text = page(_decoded(whole(file, keep_bom=True)))
    except TooLong as error:
        yield source.bad(str(error))
    except _Undecodable as error:
        yield source.bad(source.not_text(error))
    else:
        yield source.document(text, {"title": title} if title else {}, fields)


def page(markup: str) -> tuple[str, str]:
    """Title and visible text of a page."""
    tree = needed("selectolax.lexbor", "reading HTML", extra="html").LexborHTMLParser(markup.replace("\0", "\ufffd"))
    text = _Text()
    if tree.body is not None:
        _walk(tree.body, text)
    return _title(tree), text.joined()


def _title(tree: Any) -> str:
    """The text of the first ``<title>`` that is the page's own, as a browser has it in its tab: a picture inside (SVG) may have
    others."""
    for title in tree.css("title"):
        above = title.parent
        while above is not None and above.tag not in _FOREIGN:
            above = above.parent
        if above is None:
            return " ".join(title.text().split())
    return ""


class _Text:
    """Text in the making: how many line ends stand between two pieces is known when the second comes."""

    def __init__(self) -> None:
        self._out: list[str] = []
        self._gap = 0
        self._space = False

    def add(self, text: str, *, kept: bool) -> None:
        if not kept:
            if text[:1].isspace():
                self._space = True
            trailing = text[-1:].isspace()
            text = " ".join(text.split())
        if not text:
            return
        if self._out:
            self._out.append("\n" * self._gap if self._gap else " " * self._space)
        self._out.append(text)
        self._gap, self._space = 0, not kept and trailing

    def gap(self, lines: int) -> None:
        self._gap = max(self._gap, lines)

    def joined(self) -> str:
        return "".join(self._out).strip()


def _walk(root: Any, text: _Text) -> None:
    """Visit the nodes in order without recursion: pages nest deeper than Python's stack."""
    stack: list[tuple[Any, bool, bool]] = [(root, False, False)]
    while stack:
        node, kept, leaving = stack.pop()
        tag = node.tag
        if tag == "-text":
            text.add(node.text_content or "", kept=kept)
            continue
        if tag in _DROPPED or tag.startswith(("-", "!")):
            continue
        if tag == "br":
            text.gap(1)
            continue
        if tag in _BLOCKS:
            text.gap(2 if tag in _PARAGRAPHS else 1)
        if leaving:
            continue
        stack.append((node, kept, True))
        stack.extend((child, kept or tag == "pre", False) for child in reversed(list(node.iter(include_text=True))))


class _Undecodable(ValueError):
    """The bytes are not in the encoding that the page declares."""


def _decoded(raw: bytes) -> str:
    encoding, start = charset(raw)
    raw = raw[start:]
    try:
        return decode(raw, encoding)
    except UnicodeDecodeError as error:
        if encoding == "utf-8":
            raise _Undecodable(not_utf8(error)) from error
        raise _Undecodable(f"not valid {encoding}: byte 0x{error.object[error.start]:02x} at {error.start}") from error
