"""From a file's bytes to its samples, within limits that are checked before anything is decoded."""

from __future__ import annotations

import io
import os
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from embedkit.bundle.frontends.audio import LONGEST
from embedkit.system.extras import needed

Samples = npt.NDArray[np.float32]
"""(samples,) of one channel, from -1 to 1 as a rule."""

FORMATS = ("WAV", "WAVEX", "RF64", "W64", "FLAC", "OGG", "MP3", "AIFF", "AU", "CAF")
MAX_BYTES = 512 << 20
"""Of a file."""
MAX_SAMPLES = 1 << 28
"""Of a file, by itself: a gigabyte in one channel."""
_BLOCK = 1 << 18


class Undecodable(Exception):
    """Why something is no sound that can be read, as the end of a sentence."""


@cache
def soundfile() -> Any:
    """`soundfile`; `MissingExtraError` where it is not installed."""
    return needed("soundfile", "reading sounds", extra="audio")


def read_file(path: Path) -> bytes:
    """The bytes of a sound's file, at most `MAX_BYTES`; raises `Undecodable`."""
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size > MAX_BYTES:
                raise Undecodable(_too_large(size))
            data = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        raise Undecodable(f"{path}: cannot be read ({error}); look at the path") from error
    if len(data) > MAX_BYTES:  # of what has no size, such as a pipe
        raise Undecodable(_too_large(len(data)))
    return data


def decode(data: bytes) -> tuple[Samples, int]:
    """The samples of a file's bytes, its channels averaged, and their rate. Raises `Undecodable`."""
    if not data:
        raise Undecodable("the file is empty (0 bytes); copy it again, or leave it out")
    if len(data) > MAX_BYTES:
        raise Undecodable(_too_large(len(data)))
    _check_whole(data)
    library = soundfile()
    try:
        with library.SoundFile(io.BytesIO(data)) as file:
            return _read(file), int(file.samplerate)
    except Undecodable:
        raise
    except library.LibsndfileError as error:
        raise Undecodable(
            f"no sound that can be read: expected {', '.join(FORMATS[:-1])} or {FORMATS[-1]}, found bytes that begin with {data[:8]!r} "
            f"({_line(error)}); convert it, or leave it out"
        ) from error
    except Exception as error:  # what the library's readers meet in a broken file
        raise Undecodable(f"a broken sound ({_line(error)}); copy it again, or leave it out") from error


def _read(file: Any) -> Samples:
    if file.format not in FORMATS:
        raise Undecodable(f"a sound in the format {file.format}, which is not read; convert it to WAV or FLAC")
    if not file.frames:
        raise Undecodable("it has no sample; leave it out")
    check_length(file.frames, file.samplerate)
    parts = []
    while len(block := file.read(_BLOCK, dtype="float32", always_2d=True)):
        parts.append(one_channel(block))
    found: Samples = np.concatenate(parts) if parts else np.empty(0, np.float32)
    if len(found) < file.frames:
        raise Undecodable(f"it ends after {len(found):,} of {file.frames:,} samples; copy it again, or leave it out")
    return found


def one_channel(block: npt.NDArray[np.float32]) -> Samples:
    """(samples,) the mean of (samples, channels)."""
    return np.ascontiguousarray(block.T.mean(axis=0) if block.shape[1] > 1 else block[:, 0])


def check_length(samples: int, rate: int) -> None:
    """Raise `Undecodable` where a sound is too long."""
    if samples > LONGEST * rate or samples > MAX_SAMPLES:
        raise Undecodable(
            f"{samples / rate:,.0f} seconds ({samples:,} samples), and at most {min(LONGEST, MAX_SAMPLES // rate):,} seconds are decoded; cut "
            "it, or leave it out"
        )


def _check_whole(data: bytes) -> None:
    """Raise `Undecodable` where a WAV file says that it is longer: libsndfile reads what is there, and is silent."""
    if data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        return
    place = 12
    while place + 8 <= len(data):
        name, size = data[place : place + 4], int.from_bytes(data[place + 4 : place + 8], "little")
        if name == b"data":
            # A stream that did not know its length has one of these.
            if size not in (0, 0x7FFFFFFF, 0xFFFFFFFF) and size < 0x7FFFF000 and place + 8 + size > len(data):
                raise Undecodable(
                    f"a WAV file that ends {place + 8 + size - len(data):,} bytes too early; copy it again, or leave it out"
                )
            return
        place += 8 + size + size % 2


def _too_large(size: int) -> str:
    return f"a file of {size:,} bytes or more, and at most {MAX_BYTES:,} are read; cut the sound, or leave it out"


def _line(error: BaseException) -> str:
    return (" ".join(str(error).split()) or type(error).__name__)[:200]
