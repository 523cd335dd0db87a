"""Which encoding a page of HTML is in, as browsers find it (HTML standard, 13.2.3): a byte order mark, what a ``<meta>`` says,
an XML declaration."""

from __future__ import annotations

import re

from embedkit.system.files.encodings import bom_of, encoding_of

_COMMENT = re.compile(rb"<!--(?:-?>|.*?--!?>)|<!--", re.DOTALL)
_META = re.compile(rb"<meta[\t\n\f\r /]", re.IGNORECASE)
_TAG = re.compile(rb"</?[A-Za-z][^\t\n\f\r >]*")
_OTHER = re.compile(rb"<[!/?][^>]*>?")
_ATTRIBUTE = re.compile(
    rb"""[\t\n\f\r /]*([^\t\n\f\r />=][^\t\n\f\r />=]*|=[^\t\n\f\r />=]*)"""
    rb"""(?:[\t\n\f\r ]*=[\t\n\f\r ]*("[^"]*"|'[^']*'|[^\t\n\f\r >"'][^\t\n\f\r >]*|))?"""
)
_RAW = re.compile(
    rb"<(script|style|title|textarea|xmp|iframe|noembed|noframes|noscript)(?=[\t\n\f\r />])", re.IGNORECASE
)
_IN_CONTENT = re.compile(
    rb"""charset[\t\n\f\r ]*=[\t\n\f\r ]*("[^"]*"|'[^']*'|[^"'\t\n\f\r ;][^\t\n\f\r ;]*)""", re.IGNORECASE
)
_XML = re.compile(rb"""<\?xml[\t\n\f\r ][^>]*?encoding[\t\n\f\r ]*=[\t\n\f\r ]*(?:"([^"<>]*)"|'([^'<>]*)')[^>]*>""")
_FIRST = 1024
"""Bytes in which a browser looks for a ``<meta>`` before it reads the page."""


def charset(raw: bytes) -> tuple[str, int]:
    """The encoding of a page by its name in `embedkit.system.files.encodings`, ``utf-8`` where it tells none, and how many bytes
    of a byte order mark stand before its text."""
    found, length = bom_of(raw)
    if found:
        return found, length
    for mark, name in ((b"<\0?\0x\0", "utf-16le"), (b"\0<\0?\0x", "utf-16be")):
        if raw.startswith(mark):
            return name, 0
    return _meta(raw[:_FIRST], whole=False) or _xml(raw) or _meta(raw, whole=True) or "utf-8", 0


def _meta(raw: bytes, *, whole: bool) -> str | None:
    """What the first ``<meta>`` with a known encoding says, outside of comments and of the attributes of other tags; of a
    ``whole`` page outside of scripts and their like too, which a browser knows by then."""
    place = 0
    while (place := raw.find(b"<", place)) >= 0:
        if match := _COMMENT.match(raw, place):
            if match[0] == b"<!--":  # to the end
                return None
            place = match.end()
        elif _META.match(raw, place):
            attributes, place = _attributes(raw, place + len(b"<meta"))
            if found := _said(attributes):
                return found
        elif whole and (match := _RAW.match(raw, place)):
            _, place = _attributes(raw, match.end())
            end = re.compile(rb"</" + match[1] + rb"(?=[\t\n\f\r />])", re.IGNORECASE).search(raw, place)
            place = end.start() if end else len(raw)
        elif match := _TAG.match(raw, place):
            _, place = _attributes(raw, match.end())
        else:
            match = _OTHER.match(raw, place)
            place = match.end() if match else place + 1
    return None


def _attributes(raw: bytes, place: int) -> tuple[dict[bytes, bytes], int]:
    """The attributes of a tag, the first of each name, and where the tag ends."""
    found: dict[bytes, bytes] = {}
    while match := _ATTRIBUTE.match(raw, place):
        place = match.end()
        value = match[2] or b""
        found.setdefault(match[1].lower(), value[1:-1] if value[:1] in (b'"', b"'") else value)
    end = raw.find(b">", place)
    return found, end + 1 if end >= 0 else len(raw)


def _said(attributes: dict[bytes, bytes]) -> str | None:
    label: bytes | None = attributes.get(b"charset")
    if label is None and attributes.get(b"http-equiv", b"").lower() == b"content-type":
        match = _IN_CONTENT.search(attributes.get(b"content", b""))
        label = match[1].strip(b"\"'") if match else None
    found = encoding_of(label.decode("latin-1")) if label is not None else None
    if found in ("utf-16le", "utf-16be"):  # what could be read as ASCII up to here is none
        return "utf-8"
    return "windows-1252" if found == "x-user-defined" else found


def _xml(raw: bytes) -> str | None:
    match = _XML.match(raw)
    found = encoding_of((match[1] or match[2] or b"").decode("latin-1")) if match else None
    return "utf-8" if found in ("utf-16le", "utf-16be") else found
