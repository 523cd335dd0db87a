"""The sections of a text with Markdown headings."""

from __future__ import annotations

from dataclasses import dataclass

from .headings import headings


@dataclass(frozen=True, slots=True)
class Section:
    """A heading with what stands under it; ``path`` names the headings from the outermost one to its own."""

    start: int
    end: int
    path: tuple[str, ...]


def sections(text: str) -> list[Section]:
    """The sections in order; together they are the text.

    Headings are lines that begin with one to six ``#`` (ATX), where CommonMark reads one outside of lists and quotations.
    One with nothing under it belongs to the section that follows.
    """
    found: list[Section] = []
    path: dict[int, str] = {}
    start, body = 0, 0
    for heading in headings(text):
        if text[body : heading.start].strip():
            found.append(Section(start, heading.start, tuple(path.values())))
            start = heading.start
        path = {above: name for above, name in path.items() if above < heading.level} | {heading.level: heading.title}
        body = heading.end
    if start < len(text):
        found.append(Section(start, len(text), tuple(path.values())))
    return found
