"""What is kept of a picture's file beside its vector."""

from __future__ import annotations

import hashlib
import io
import os
import re
from collections.abc import Collection
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from embedkit.runtime.frontends.image.decoding import MAX_PICTURE_BYTES, PICTURE_FORMATS, pillow, size_of
from embedkit.runtime.frontends.media import Undecodable, read_file
from embedkit.system.files.kinds import is_special
from embedkit.system.files.lines import not_utf8

from .known import facts_of

_LONGEST_CAPTION = 1 << 20
_MAKE, _MODEL, _CHANGED, _EXIF, _TAKEN, _OFFSET = 0x010F, 0x0110, 0x0132, 0x8769, 0x9003, 0x9011
"""Numbers of EXIF's tags: none that says where."""
_OFFSETS = re.compile(r"[+-]\d\d:\d\d|Z")


def of_file(path: str, exif: Collection[str] = ()) -> dict[str, Any]:
    """``media``, ``width`` and ``height`` in pixels, upright, and the ``sha256`` of a picture's file; of what ``exif`` names ``taken`` (ISO
    8601, with an offset where the camera knew it) and ``camera``, where they are there. A file that was read before is not read again
    where its size and times are the same. Raises `Undecodable`, for a pipe or a device too, which is not opened."""
    if is_special(path):
        raise Undecodable(f"{path}: no file but a pipe, a socket or a device; name a file, or leave it out")
    wanted = " ".join(["image 1", *sorted(exif)])
    return facts_of(path, wanted, lambda: picture_facts(read_file(Path(path), MAX_PICTURE_BYTES), exif))


def picture_facts(data: bytes, exif: Collection[str] = ()) -> dict[str, Any]:
    """What `of_file` says, of a file's bytes; raises `Undecodable`."""
    width, height = size_of(data)
    about = {"media": "image", "width": width, "height": height, "sha256": hashlib.sha256(data).hexdigest()}
    return {**about, **(_of_camera(data, exif) if exif else {})}


def caption_beside(path: str) -> str:
    """What stands in the file of a picture's name with ``.txt``; nothing where there is none. Raises `Undecodable` for what is no
    text, and `OSError`."""
    beside = os.path.splitext(path)[0] + ".txt"
    if not os.path.isfile(beside) or is_special(beside):
        return ""
    with open(beside, "rb") as file:
        caption = file.read(_LONGEST_CAPTION)
    try:
        return caption.decode("utf-8").strip()
    except UnicodeDecodeError as error:
        raise Undecodable(f"its caption {beside} is {not_utf8(error)}; save it in UTF-8") from error


def _of_camera(data: bytes, exif: Collection[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    with suppress(Exception):  # a broken EXIF costs no picture
        with pillow().open(io.BytesIO(data), formats=PICTURE_FORMATS) as picture:
            tags = picture.getexif()
            inside = tags.get_ifd(_EXIF)
        if "time" in exif:
            taken = _time(inside.get(_TAKEN) or tags.get(_CHANGED), inside.get(_OFFSET))
            found |= {"taken": taken} if taken else {}
        if "camera" in exif:
            make, model = _text(tags.get(_MAKE)), _text(tags.get(_MODEL))
            named = model if model.lower().startswith(make.lower()) else f"{make} {model}".strip()
            found |= {"camera": named} if named else {}
    return found


def _time(given: object, offset: object) -> str:
    try:
        moment = datetime.strptime(_text(given), "%Y:%m:%d %H:%M:%S").isoformat()
    except ValueError:
        return ""
    known = _text(offset)
    return moment + known if _OFFSETS.fullmatch(known) else moment


def _text(given: object) -> str:
    """The text of a tag, on one line, without what cannot be printed."""
    if isinstance(given, bytes):
        given = given.decode("utf-8", "replace")
    if not isinstance(given, str):
        return ""
    return " ".join("".join(c if c.isprintable() else " " for c in given).split())[:200]
