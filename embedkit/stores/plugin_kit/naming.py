"""Names that databases accept, for collections of any name; cursors; and strings that stand for a field with a value."""

from __future__ import annotations

import hashlib
import json
import re
from functools import lru_cache

from embedkit.checks import printed
from embedkit.errors import InputError

_DIGEST = 16
_LONGEST_TERM = 120


def safe_name(name: str, max_length: int = 63) -> str:
    """``name`` as 3 to ``max_length`` characters of ``[a-z0-9_-]``, beginning and ending with a letter or digit.

    A name of that form is returned as it is; any other becomes a readable rest of it and 16 hex digits of its sha256,
    for which ``max_length`` must be 32 or more. No two names give the same result, short of a collision of the hash:
    a name that looks like a mapped one is mapped too, and upper case never stays, because some databases make folders
    of their collections and some file systems ignore case.
    """
    plain = rf"[a-z0-9][a-z0-9_-]{{1,{max_length - 2}}}[a-z0-9]"
    mapped = rf".*-[0-9a-f]{{{_DIGEST}}}"
    if re.fullmatch(plain, name) and not re.fullmatch(mapped, name):
        return name
    rest = re.sub(r"[^a-z0-9]+", "-", name.lower()[:max_length]).strip("-")[: max_length - _DIGEST - 1].rstrip("-")
    return f"{rest or 'collection'}-{hashlib.sha256(name.encode()).hexdigest()[:_DIGEST]}"


def check_cursor(cursor: str | None, form: str) -> str | None:
    """``cursor`` if it is None or has the form (a regular expression) of those that a store's pages give; else `InputError`."""
    if cursor is None or re.fullmatch(form, cursor):
        return cursor
    raise InputError(f"cursor: expected that of a page of this store, or None, found {printed(cursor):.80}")


@lru_cache(maxsize=4096, typed=True)
def term(name: str, *value: str | float | bool | None) -> str:
    """A field's name, with its value or alone, as a short string of ASCII: equal for equal ones and, short of a collision
    of a hash, for those only. An index of such strings answers equality and presence for fields of any name and type."""
    whole = json.dumps([name, *value])
    if len(whole) <= _LONGEST_TERM:
        return whole
    return f"#{hashlib.blake2b(whole.encode(), digest_size=20).hexdigest()}"
