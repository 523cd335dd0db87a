"""The sections of a text with Markdown headings."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_HEADING = re.compile(r" {0,3}(#{1,6})(?:[ \t]+(.*?))?(?:[ \t]+#+)?[ \t]*\Z")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_LINE = re.compile(r"[^\n]*(?:\n|\Z)")


@dataclass(frozen=True, slots=True)
class Section:
    """A heading with what stands under it; ``path`` names the headings from the outermost one to its own."""

    start: int
    end: int
    path: tuple[str, ...]


def sections(text: str) -> list[Section]:
    """The sections in order; together they are the text.

    Headings are lines that begin with one to six ``#`` (ATX), outside of fenced code. One with nothing under it belongs
    to the section that follows.
    """
    found: list[Section] = []
    path: dict[int, str] = {}
    start, body = 0, 0
    for place, after, level, title in _headings(text):
        if text[body:place].strip():
            found.append(Section(start, place, tuple(path.values())))
            start = place
        path = {above: name for above, name in path.items() if above < level} | {level: title}
        body = after
    if start < len(text):
        found.append(Section(start, len(text), tuple(path.values())))
    return found


def _headings(text: str) -> Iterator[tuple[int, int, int, str]]:
    """Start, end, level and title of each heading."""
    fence = ""
    for match in _LINE.finditer(text):
        line = match.group().rstrip("\r\n")
        mark = _FENCE.match(line)
        if fence:
            if mark and mark[1].startswith(fence) and line.strip() == mark[1]:
                fence = ""
        elif mark:
            fence = mark[1]
        elif heading := _HEADING.match(line):
            yield match.start(), match.end(), len(heading[1]), (heading[2] or "").strip()
