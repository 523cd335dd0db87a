"""A contact sheet as one picture."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from embedkit.errors import InputError
from embedkit.system.extras import needed

from .cells import EDGE, Cell, Sheet

_COLUMNS = 6
_GAP, _LINE = 14, 17
_TEXT_LINES = 4
"""Lines below a picture: the head, and three of text."""
_BACK, _MAT, _INK, _FAINT, _MARK = (255, 255, 255), (240, 240, 240), (24, 24, 24), (110, 110, 110), (200, 40, 40)
_MOST_ROWS = 200
"""Rows of cells in one picture: about 60,000 pixels high, which is what PNG and its readers take."""


def drawn(sheet: Sheet) -> Any:
    """A `PIL.Image.Image` in RGB: each query's cells from left to right in rows of six, the query first and framed. Raises
    `InputError` for more rows than a picture can have."""
    module = needed("PIL.Image", "drawing a contact sheet", extra="image")
    draw_on = needed("PIL.ImageDraw", "drawing a contact sheet", extra="image").Draw
    lines = [
        cells[start : start + _COLUMNS] for cells in sheet.rows for start in range(0, max(1, len(cells)), _COLUMNS)
    ]
    if len(lines) > _MOST_ROWS:
        raise InputError(
            f"a contact sheet of {len(lines):,} rows of pictures is too high for a PNG, which takes {_MOST_ROWS}; write .html, or "
            "ask for fewer hits"
        )
    columns = max((len(line) for line in lines), default=1)
    high = EDGE + _TEXT_LINES * _LINE + _GAP
    size = (_GAP + columns * (EDGE + _GAP), _GAP + max(1, len(lines)) * high)
    made = module.new("RGB", size, _BACK)
    draw = draw_on(made)
    for row, cells in enumerate(lines):
        for column, cell in enumerate(cells):
            _draw_cell(made, draw, cell, _GAP + column * (EDGE + _GAP), _GAP + row * high)
    return made


def _draw_cell(made: Any, draw: Any, cell: Cell, left: int, top: int) -> None:
    draw.rectangle((left, top, left + EDGE - 1, top + EDGE - 1), fill=_MAT)
    lines = list(cell.lines)
    if cell.picture is not None:
        place = (left + (EDGE - cell.picture.width) // 2, top + (EDGE - cell.picture.height) // 2)
        made.paste(cell.picture, place)
    elif cell.missing:
        _write(draw, _wrapped(cell.missing, EDGE - 20, 9), left + 10, top + 10, _MARK)
    else:  # a query in words
        _write(draw, _wrapped(" ".join(lines), EDGE - 20, 12), left + 10, top + 10, _INK)
        lines = []
    if cell.query:
        draw.rectangle((left - 3, top - 3, left + EDGE + 2, top + EDGE + 2), outline=_MARK, width=2)
    below = top + EDGE + 4
    _write(draw, [cell.head], left, below, _MARK if cell.query else _INK)
    if lines:
        named = [_elided(lines[0], EDGE)]
        _write(draw, named + _wrapped(" ".join(lines[1:]), EDGE, 2), left, below + _LINE, _FAINT)


def _write(draw: Any, lines: Sequence[str], left: int, top: int, color: tuple[int, int, int]) -> None:
    for number, line in enumerate(lines):
        draw.text((left, top + number * _LINE), line, font=_font(), fill=color)


@cache
def _font() -> Any:
    """The font that comes with Pillow."""
    return needed("PIL.ImageFont", "drawing a contact sheet", extra="image").load_default(size=13)


def _width(text: str) -> float:
    return float(_font().getlength(text))


def _elided(text: str, width: int) -> str:
    """``text`` without its middle where it is wider: names that begin alike differ at their ends."""
    if _width(text) <= width:
        return text
    kept = min(len(text), 2 * width)  # more is never narrow enough
    while kept > 2:
        kept -= 1
        short = f"{text[: kept // 2]}...{text[-(kept - kept // 2) :]}"
        if _width(short) <= width:
            return short
    return "..."


def _wrapped(text: str, width: int, most: int) -> list[str]:
    """At most ``most`` lines that are not wider; a word that is wider is cut, and what is left of the last line elided."""
    lines: list[str] = []
    rest = text.strip()
    while rest and len(lines) < most - 1:
        fitting = _fitting(rest, width)
        if fitting < len(rest) and (space := rest.rfind(" ", 0, fitting + 1)) > 0:
            fitting = space
        lines.append(rest[:fitting].rstrip())
        rest = rest[fitting:].lstrip()
    if rest:
        whole = _fitting(rest, width) == len(rest)
        lines.append(rest if whole else rest[: max(1, _fitting(rest, width - int(_width("..."))))] + "...")
    return lines


def _fitting(text: str, width: int) -> int:
    """How many characters of ``text`` are not wider, at least one."""
    count = 1
    while count < len(text) and _width(text[: count + 1]) <= width:
        count += 1
    return count
