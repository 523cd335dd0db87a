"""From a file's bytes to its samples, within limits that are checked before anything is decoded."""

from __future__ import annotations

import io
import mmap
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import numpy.typing as npt

from embedkit.bundle.frontends.audio import LONGEST
from embedkit.runtime.frontends.media import Undecodable, check_data, said_by
from embedkit.system.extras import needed

from .wholeness import lacking, sound_format

Waveform = npt.NDArray[np.float32]
"""(samples,) of one channel, from -1 to 1 as a rule."""

SOUND_FORMATS = ("WAV", "WAVEX", "RF64", "W64", "FLAC", "OGG", "MP3", "AIFF", "AU", "CAF")
_KNOWN = f"{', '.join(SOUND_FORMATS[:-1])} or {SOUND_FORMATS[-1]}"
MAX_SOUND_BYTES = 512 << 20
"""Of a file."""
MAX_SAMPLES = 1 << 28
"""Of a file, by itself: a gigabyte in one channel."""
_BLOCK = 1 << 18


@cache
def soundfile() -> Any:
    """`soundfile`; `MissingExtraError` where it is not installed."""
    return needed("soundfile", "reading sounds", extra="audio")


def sound_of(data: bytes) -> tuple[Waveform, int]:
    """The samples of a file's bytes, its channels averaged, and their rate. Raises `Undecodable`."""
    with _opened(data) as file:
        check_length(file.frames, file.samplerate)
        return _read(file, file.frames), int(file.samplerate)


def seconds_of(path: Path) -> float:
    """How long the sound of a file is, however long, of which the head alone is decoded. Raises `Undecodable`."""
    with _opened(path) as file:
        return round(float(file.frames / file.samplerate), 3)


def part_of(path: Path, start: float, end: float) -> tuple[Waveform, int]:
    """The samples of a file from ``start`` to ``end`` in seconds, without those before them: what `sound_of` gives of all, cut. Raises
    `Undecodable`."""
    with _opened(path, whole=False) as file:
        rate = int(file.samplerate)
        first, last = (min(round(second * rate), file.frames) for second in (start, end))
        check_length(last - first, rate)
        begin = max(0, first - rate)  # what a decoder keeps of the frames before is the same again by then
        file.seek(begin)
        return _read(file, last - begin)[first - begin :], rate


@contextmanager
def _opened(given: bytes | Path, *, whole: bool = True) -> Iterator[Any]:
    """A sound that has samples, and with ``whole`` as many bytes as it says; raises `Undecodable`, for what is met while it is read
    too."""
    library = soundfile()
    try:
        with ExitStack() as stack:
            if isinstance(given, bytes):
                check_data(given, MAX_SOUND_BYTES)
                _check_whole(given)
                source: Any = io.BytesIO(given)
            else:
                source = stack.enter_context(given.open("rb"))
                if whole:
                    with _mapped(source) as data:
                        _check_whole(data)
            file = stack.enter_context(library.SoundFile(source))
            if file.format not in SOUND_FORMATS:
                raise Undecodable(f"a sound in the format {file.format}, which is not read; convert it to WAV or FLAC")
            if not file.frames:
                raise Undecodable("it has no sample; leave it out")
            yield file
    except (Undecodable, MemoryError):
        raise
    except library.LibsndfileError as error:
        head = given[:12] if isinstance(given, bytes) else _head(given)
        if known := sound_format(head):
            raise Undecodable(
                f"a broken or cut {known} file ({said_by(error)}); copy it again, or leave it out"
            ) from error
        raise Undecodable(
            f"no sound that can be read: expected {_KNOWN}, found bytes that begin with {head[:8]!r} "
            f"({said_by(error)}); convert it, or leave it out"
        ) from error
    except OSError as error:
        raise Undecodable(f"{given!s:.200}: cannot be read ({error}); look at the path") from error
    except Exception as error:  # what the library's readers meet in a broken file
        raise Undecodable(f"a broken sound ({said_by(error)}); copy it again, or leave it out") from error


@contextmanager
def _mapped(file: BinaryIO) -> Iterator[bytes]:
    """The bytes of an open file, of which those that are looked at are read."""
    try:
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except ValueError:  # nothing can be mapped of an empty file
        check_data(b"", MAX_SOUND_BYTES)
        raise
    with data:
        yield cast(bytes, data)


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(12)


def _check_whole(data: bytes) -> None:
    if missing := lacking(data):
        raise Undecodable(
            f"a {sound_format(data)} file that ends {missing:,} bytes too early; copy it again, or leave it out"
        )


def _read(file: Any, count: int) -> Waveform:
    """The next ``count`` samples."""
    parts, left = [], count
    while left and len(block := file.read(min(left, _BLOCK), dtype="float32", always_2d=True)):
        parts.append(one_channel(block))
        left -= len(block)
    found: Waveform = np.concatenate(parts) if parts else np.empty(0, np.float32)
    if left:
        raise Undecodable(f"it ends {left:,} of {file.frames:,} samples too early; copy it again, or leave it out")
    return found


def one_channel(block: npt.NDArray[np.float32]) -> Waveform:
    """(samples,) the mean of (samples, channels)."""
    return np.ascontiguousarray(block.T.mean(axis=0) if block.shape[1] > 1 else block[:, 0])


def check_length(samples: int, rate: int) -> None:
    """Raise `Undecodable` where a sound, or a part of one, is too long."""
    if samples > LONGEST * rate or samples > MAX_SAMPLES:
        raise Undecodable(
            f"{samples / rate:,.0f} seconds ({samples:,} samples), and at most {min(LONGEST, MAX_SAMPLES // rate):,} seconds are decoded; cut "
            "it (--chunk 10s where it is ingested), or leave it out"
        )
