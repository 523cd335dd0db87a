"""Words of a command line and names of files, whatever the locale."""

from __future__ import annotations

import os
import sys


def begin_in_utf_8() -> None:
    """Begin this program anew in Python's UTF-8 mode where the locale's encoding has made lone surrogates of words that read as UTF-8, or
    is ASCII, as in ``C``, by which no other name of a file can be opened."""
    if os.name != "posix" or sys.flags.utf8_mode:
        return
    if sys.getfilesystemencoding() == "ascii" or any(as_utf_8(word) != word for word in sys.argv[1:]):
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])


def as_utf_8(name: str) -> str:
    """A name that the system gave as its bytes read in UTF-8, where they do and Python could not read them in the locale's encoding."""
    if name.isascii() or not any("\udc80" <= character <= "\udcff" for character in name):
        return name
    try:
        return os.fsencode(name).decode("utf-8")
    except UnicodeError:
        return name
