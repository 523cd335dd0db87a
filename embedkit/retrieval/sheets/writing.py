"""A contact sheet into a file."""

from __future__ import annotations

import io
import os

from embedkit.errors import DiskError, InputError
from embedkit.system.atomic import atomic_file
from embedkit.system.extras import needed

from .cells import Sheet
from .drawing import drawn
from .page import html_page

_SUFFIXES = (".png", ".html", ".htm")


def check_sheet(path: str | os.PathLike[str]) -> None:
    """Raise now what would fail at the end of long work: `InputError` for a name that says neither PNG nor HTML or that cannot be
    html_page, and `MissingExtraError` without what draws."""
    needed("PIL.Image", "drawing a contact sheet", extra="image")
    name = os.fspath(path)
    if os.path.splitext(name)[1].lower() not in _SUFFIXES:
        raise InputError(f"{name}: expected the name of a contact sheet, FILE.png or FILE.html")
    if not os.path.isdir(os.path.dirname(name) or ".") or os.path.isdir(name):
        raise InputError(f"{name}: expected the name of a file in a folder that exists")


def write_sheet(path: str | os.PathLike[str], sheet: Sheet) -> None:
    """Write a sheet to ``FILE.png`` or ``FILE.html``, whole or not at all; raises as `check_sheet`, and `DiskError`."""
    check_sheet(path)
    name = os.fspath(path)
    if name.lower().endswith(".png"):
        file = io.BytesIO()
        drawn(sheet).save(file, "PNG")
        data = file.getvalue()
    else:
        data = html_page(sheet).encode("utf-8", "replace")
    try:
        with atomic_file(name) as whole:
            whole.write(data)
    except OSError as error:
        raise DiskError(f"{name}: {error.strerror}", error) from error
