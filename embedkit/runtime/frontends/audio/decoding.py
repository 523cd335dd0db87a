"""From a file's bytes to its samples, within limits that are checked before anything is decoded."""

from __future__ import annotations

import io
from functools import cache
from typing import Any

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
    check_data(data, MAX_SOUND_BYTES)
    if missing := lacking(data):
        raise Undecodable(
            f"a {sound_format(data)} file that ends {missing:,} bytes too early; copy it again, or leave it out"
        )
    library = soundfile()
    try:
        with library.SoundFile(io.BytesIO(data)) as file:
            return _read(file), int(file.samplerate)
    except Undecodable:
        raise
    except library.LibsndfileError as error:
        if known := sound_format(data):
            raise Undecodable(
                f"a broken or cut {known} file ({said_by(error)}); copy it again, or leave it out"
            ) from error
        raise Undecodable(
            f"no sound that can be read: expected {_KNOWN}, found bytes that begin with {data[:8]!r} "
            f"({said_by(error)}); convert it, or leave it out"
        ) from error
    except Exception as error:  # what the library's readers meet in a broken file
        raise Undecodable(f"a broken sound ({said_by(error)}); copy it again, or leave it out") from error


def _read(file: Any) -> Waveform:
    if file.format not in SOUND_FORMATS:
        raise Undecodable(f"a sound in the format {file.format}, which is not read; convert it to WAV or FLAC")
    if not file.frames:
        raise Undecodable("it has no sample; leave it out")
    check_length(file.frames, file.samplerate)
    parts = []
    while len(block := file.read(_BLOCK, dtype="float32", always_2d=True)):
        parts.append(one_channel(block))
    found: Waveform = np.concatenate(parts) if parts else np.empty(0, np.float32)
    if len(found) < file.frames:
        raise Undecodable(f"it ends after {len(found):,} of {file.frames:,} samples; copy it again, or leave it out")
    return found


def one_channel(block: npt.NDArray[np.float32]) -> Waveform:
    """(samples,) the mean of (samples, channels)."""
    return np.ascontiguousarray(block.T.mean(axis=0) if block.shape[1] > 1 else block[:, 0])


def check_length(samples: int, rate: int) -> None:
    """Raise `Undecodable` where a sound is too long."""
    if samples > LONGEST * rate or samples > MAX_SAMPLES:
        raise Undecodable(
            f"{samples / rate:,.0f} seconds ({samples:,} samples), and at most {min(LONGEST, MAX_SAMPLES // rate):,} seconds are decoded; cut "
            "it, or leave it out"
        )
