"""HTML: a page is one document of its visible text, with its title as metadata."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, BinaryIO

from embedkit.ingestion.readers.source import Source
from embedkit.ingestion.rows.fields import Fields
from embedkit.ingestion.rows.row import Row
from embedkit.system.extras import needed
from embedkit.system.files.lines import TooLong, not_utf8, whole

_DROPPED = {"script", "style", "nav", "noscript", "template", "svg", "iframe", "object", "head", "select", "button"}
_PARAGRAPHS = {"article", "blockquote", "dl", "figure", "main", "ol", "p", "pre", "section", "table", "ul"}
_PARAGRAPHS |= {f"h{level}" for level in range(1, 7)}
_BLOCKS = _PARAGRAPHS | {"address", "aside", "body", "dd", "details", "dialog", "div", "dt", "fieldset", "figcaption"}
_BLOCKS |= {"footer", "form", "header", "hr", "li", "summary", "tbody", "td", "tfoot", "th", "thead", "tr"}
_CHARSET = re.compile(rb"<meta[^>]+charset\s*=\s*[\"']?\s*([A-Za-z0-9_:.-]+)", re.IGNORECASE)


def read_html(file: BinaryIO, source: Source, fields: Fields) -> Iterator[Row]:
    """The one document of a page: blocks stand on lines of their own, scripts, styles and navigation are left out.

    The bytes are in UTF-8 or what a ``<meta charset>`` says. Raises `MissingExtraError` without selectolax.
    """
    try:
        title, text = page(_decoded(whole(file)))
    except TooLong as error:
        yield source.bad(str(error))
    except _Undecodable as error:
        yield source.bad(str(error))
    else:
        yield source.document(text, {"title": title} if title else {}, fields)


def page(markup: str) -> tuple[str, str]:
    """Title and visible text of a page."""
    tree = needed("selectolax.lexbor", "reading HTML", extra="html").LexborHTMLParser(markup.replace("\0", "\ufffd"))
    title = tree.css_first("title")
    text = _Text()
    if tree.body is not None:
        _walk(tree.body, text)
    return " ".join(title.text().split()) if title else "", text.joined()


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
    declared = _CHARSET.search(raw[:4096])
    name = declared[1].decode().lower() if declared else "utf-8"
    if name.startswith("utf-16"):  # what could be read as ASCII up to here is none (HTML standard, 13.2.3.3)
        name = "utf-8"
    try:
        return raw.decode(name)
    except UnicodeDecodeError as error:
        raise _Undecodable(not_utf8(error) if name in ("utf-8", "utf8") else f"not valid {name}") from error
    except UnicodeError as error:
        raise _Undecodable(f"not valid {name}") from error
    except LookupError as error:
        raise _Undecodable(f"{error}; save the page as UTF-8") from error
