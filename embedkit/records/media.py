"""Media that are no files: what tells their bytes from a text."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from embedkit.errors import InputError


@dataclass(frozen=True, slots=True)
class Image:
    """A picture as the ``data`` of its file (JPEG, PNG, WebP, GIF, BMP, TIFF or AVIF), such as came over a network."""

    data: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if not isinstance(self.data, bytes):
            raise InputError(
                f"Image: expected the bytes of a picture's file, found {type(self.data).__name__}; of a file on disk give its "
                "pathlib.Path as it is"
            )


@dataclass(frozen=True, slots=True, init=False, eq=False)
class Audio:
    """A sound: (samples,) or (samples, channels) numbers from -1 to 1 (or whole ones of 16 or 32 bits) with their ``rate`` a second,
    or the ``data`` of its file (WAV, FLAC, OGG, MP3, AIFF, AU or CAF).

    >>> Audio(np.zeros(16000, np.float32), 16000).rate
    16000
    """

    samples: Any
    rate: int
    data: bytes | None = field(repr=False)

    def __init__(self, samples: Any = None, rate: int | None = None, *, data: bytes | None = None) -> None:
        if (samples is None) is (data is None):
            raise InputError("Audio: expected either samples with their rate, or the data of a file")
        if data is not None and not isinstance(data, bytes):
            raise InputError(
                f"Audio: expected the bytes of a sound's file, found {type(data).__name__}; of a file on disk give its pathlib.Path as "
                "it is"
            )
        if samples is not None:
            if isinstance(rate, bool) or not isinstance(rate, int | np.integer) or not 1 <= rate <= 10_000_000:
                raise InputError(f"Audio: expected the rate of the samples a second, found {rate!r}")
            samples = np.asarray(samples)
        object.__setattr__(self, "samples", samples)
        object.__setattr__(self, "rate", int(rate or 0))
        object.__setattr__(self, "data", data)
