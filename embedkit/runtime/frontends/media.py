"""The bytes of pictures and sounds: read within a limit, known again, and refused in words."""

from __future__ import annotations

import os
from hashlib import blake2b
from pathlib import Path


class Undecodable(Exception):
    """Why something is no picture or sound that can be read, as the end of a sentence."""


def read_file(path: Path, most: int) -> bytes:
    """The bytes of a file, at most ``most``; raises `Undecodable`."""
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            check_size(size, most)
            data = file.read(most + 1)
    except (OSError, ValueError) as error:
        raise Undecodable(f"{path}: cannot be read ({error}); look at the path") from error
    check_size(len(data), most)  # of what has no size, such as a pipe
    return data


def check_data(data: bytes, most: int) -> None:
    """Raise `Undecodable` where a file's bytes are none, or more than ``most``."""
    if not data:
        raise Undecodable("the file is empty (0 bytes); copy it again, or leave it out")
    check_size(len(data), most)


def check_size(size: int, most: int) -> None:
    """Raise `Undecodable` where a file has more than ``most`` bytes."""
    if size > most:
        raise Undecodable(
            f"a file of {size:,} bytes or more, and at most {most:,} are read; make it smaller, or leave it out"
        )


def said_by(error: BaseException) -> str:
    """What another library says, in one line."""
    return (" ".join(str(error).split()) or type(error).__name__)[:200]


def digest(what: str, data: bytes) -> tuple[str, bytes]:
    """Equal for equal bytes of one kind."""
    return what, blake2b(data, digest_size=16).digest()
