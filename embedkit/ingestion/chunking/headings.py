"""The headings of a Markdown text, as CommonMark finds them: not what stands in code, in HTML, in a list or in a quotation."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_LINE = re.compile(r"[^\r\n]*(?:\r\n|\n|\r|\Z)")
_HEADING = re.compile(r" {0,3}(#{1,6})(?:[ \t]+(.*?))?(?:[ \t]+#+)?[ \t]*\Z")
_FENCE = re.compile(r" {0,3}(?:(`{3,})[^`]*|(~{3,}).*)\Z")
_END_OF_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})[ \t]*\Z")
_BREAK = re.compile(r" {0,3}(?:(?:\*[ \t]*){3,}|(?:-[ \t]*){3,}|(?:_[ \t]*){3,})\Z")
_UNDERLINE = re.compile(r" {0,3}(?:=+|-+)[ \t]*\Z")
_ITEM = re.compile(r"( {0,3}(?:[-+*]|(\d{1,9})[.)]))( +|\Z)(.*)")
_QUOTE = re.compile(r" {0,3}> ?")
_DEPTH = 50
"""Lists and quotations inside of each other that are told apart."""

_BLOCK_TAGS = (
    "address|article|aside|base|basefont|blockquote|body|caption|center|col|colgroup|dd|details|dialog|dir|div|dl|dt|fieldset|"
    "figcaption|figure|footer|form|frame|frameset|h1|h2|h3|h4|h5|h6|head|header|hr|html|iframe|legend|li|link|main|menu|menuitem|"
    "nav|noframes|ol|optgroup|option|p|param|search|section|summary|table|tbody|td|tfoot|th|thead|title|tr|track|ul"
)
_ATTRIBUTE = r"""(?:[ \t]+[A-Za-z_:][\w.:-]*(?:[ \t]*=[ \t]*(?:[^ \t"'=<>`]+|'[^']*'|"[^"]*"))?)"""
_HTML = tuple(
    (re.compile(r" {0,3}" + start, re.IGNORECASE | re.ASCII), re.compile(end, re.IGNORECASE) if end else None)
    for start, end in (
        (r"<(?:script|pre|style|textarea)(?:[ \t>]|\Z)", r"</(?:script|pre|style|textarea)>"),
        (r"<!--", r"-->"),
        (r"<\?", r"\?>"),
        (r"<![A-Z]", r">"),
        (r"<!\[CDATA\[", r"\]\]>"),
        (rf"</?(?:{_BLOCK_TAGS})(?:[ \t]|/?>|\Z)", ""),
    )
)
"""How a block of HTML begins, and what ends it: None for an empty line."""
_LONE_TAG = re.compile(
    rf" {{0,3}}<(?:[A-Za-z][A-Za-z0-9-]*{_ATTRIBUTE}*[ \t]*/?|/[A-Za-z][A-Za-z0-9-]*[ \t]*)>[ \t]*\Z"
)
"""A line that is one tag and nothing else: HTML until an empty line, unless it goes on with a paragraph."""


@dataclass(frozen=True, slots=True)
class Heading:
    """A line that begins with one to six ``#``: from ``start`` to ``end`` in characters, its level from 1, and its title."""

    start: int
    end: int
    level: int
    title: str


def headings(text: str) -> Iterator[Heading]:
    """The headings in order. Titles that are underlined (setext) are none."""
    reader = _Reader()
    for match in _LINE.finditer(text):
        line = match[0].rstrip("\r\n")
        if reader.outermost(line) and (found := _HEADING.match(line)):
            yield Heading(match.start(), match.end(), len(found[1]), (found[2] or "").strip())


class _Reader:
    """What the lines up to here have opened at one level: a paragraph, code, HTML, or a list's item or a quotation, whose
    lines another reader gets."""

    def __init__(self, depth: int = 0) -> None:
        self.depth = depth
        self._paragraph = False
        self._fence = ""
        self._html: re.Pattern[str] | None = None
        self._in_html = False
        self._inner: _Reader | None = None
        self._indent = 0
        """Columns that the lines of an item are indented by at least; 0 in a quotation."""
        self._empty = False
        """Whether the item has no line but its first, which is empty."""

    def outermost(self, line: str) -> bool:
        """Read a line; whether it is a heading of this level."""
        line = line.expandtabs(4)
        blank = not line.strip(" ")
        if self._fence:
            if (mark := _END_OF_FENCE.match(line)) and mark[1].startswith(self._fence):
                self._fence = ""
            return False
        if self._in_html:
            self._in_html = not (blank if self._html is None else self._html.search(line))
            return False
        if self._inner is not None:
            if self._goes_inside(line, blank, self._inner):
                return False
            if not blank and self._inner.goes_on() and not self._interrupts(line):
                return False  # a lazy line of the paragraph inside
            self._inner = None
        return self._begins(line, blank)

    def goes_on(self) -> bool:
        """Whether the last line was of a paragraph, here or further inside."""
        return self._paragraph or (self._inner is not None and self._inner.goes_on())

    def _goes_inside(self, line: str, blank: bool, inner: _Reader) -> bool:
        if not self._indent:
            quote = _QUOTE.match(line)
            if quote:
                inner.outermost(line[quote.end() :])
            return bool(quote)
        if blank and self._empty:  # an item that begins with two empty lines has ended
            return False
        self._empty = False
        if blank or len(line) - len(line.lstrip(" ")) >= self._indent:
            inner.outermost(line[self._indent :])
            return True
        return False

    def _begins(self, line: str, blank: bool) -> bool:
        paragraph, self._paragraph = self._paragraph, False
        if blank or (not paragraph and line.startswith("    ")):
            return False
        if mark := _FENCE.match(line):
            self._fence = mark[1] or mark[2]
        elif self._begins_html(line, paragraph) or _BREAK.match(line) or (paragraph and _UNDERLINE.match(line)):
            return False
        elif _HEADING.match(line):
            return True
        elif not self._begins_inside(line, paragraph):
            self._paragraph = True
        return False

    def _interrupts(self, line: str) -> bool:
        """Whether a line ends the paragraph of an item or a quotation that it is outside of."""
        begins = (_FENCE, _BREAK, _HEADING, _ITEM, _QUOTE, *(start for start, _ in _HTML))
        return any(pattern.match(line) for pattern in begins)

    def _begins_html(self, line: str, paragraph: bool) -> bool:
        for start, end in _HTML:
            if start.match(line):
                self._html, self._in_html = end, end is None or not end.search(line)
                return True
        if not paragraph and _LONE_TAG.match(line):
            self._html, self._in_html = None, True
            return True
        return False

    def _begins_inside(self, line: str, paragraph: bool) -> bool:
        if self.depth >= _DEPTH:
            return False
        if quote := _QUOTE.match(line):
            self._inner, self._indent = _Reader(self.depth + 1), 0
            self._inner.outermost(line[quote.end() :])
            return True
        item = _ITEM.match(line)
        if not item or (paragraph and (item[2] not in (None, "1") or not item[4])):
            return False
        self._inner, self._empty = _Reader(self.depth + 1), not item[4]
        self._indent = len(item[1]) + (len(item[3]) if item[4] and len(item[3]) < 5 else 1)
        if item[4]:
            self._inner.outermost(line[self._indent :])
        return True
