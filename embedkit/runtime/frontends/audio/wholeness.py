"""Whether a file of sounds is as long as it says itself: libsndfile reads what is there of some, and is silent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

_UNKNOWN = (0, 0x7FFFFFFF, 0xFFFFFFFF, (1 << 64) - 1)
"""What a stream that did not know its length says of it."""
_STREAMED = 0x7FFFF000
"""Sizes of 32 bits from here on are no sizes, but what a stream gave for them."""


def lacking(data: bytes) -> int:
    """How many bytes a file has fewer than it says; 0 where it says nothing of that."""
    reader = _READERS.get(data[:4])
    return max(0, reader(data)) if reader is not None else 0


def sound_format(data: bytes) -> str:
    """The format that the first bytes of a file say; empty where they say none."""
    if data[:3] == b"ID3" or (data[:1] == b"\xff" and len(data) > 1 and data[1] & 0xE6 == 0xE2):  # layer III
        return "MP3"
    return {b"fLaC": "FLAC", b"OggS": "Ogg", b"caff": "CAF", b".snd": "AU", b"RF64": "RF64", b"riff": "W64"}.get(
        data[:4]
    ) or {b"WAVE": "WAV", b"AIFF": "AIFF", b"AIFC": "AIFF"}.get(data[8:12], "")


def _chunks(data: bytes, wanted: bytes, order: Literal["little", "big"]) -> int:
    """Of chunks with sizes of 32 bits behind the first 12 bytes."""
    place, large = 12, 0
    while place + 8 <= len(data):
        name, size = data[place : place + 4], int.from_bytes(data[place + 4 : place + 8], order)
        if name == b"ds64" and place + 24 <= len(data):
            large = int.from_bytes(data[place + 16 : place + 24], "little")
        if name == wanted:
            if size == 0xFFFFFFFF and large:
                return 0 if large in _UNKNOWN else place + 8 + large - len(data)
            return 0 if size in _UNKNOWN or size >= _STREAMED else place + 8 + size - len(data)
        place += 8 + size + size % 2
    return 0


def _wave(data: bytes) -> int:
    return _chunks(data, b"data", "big" if data[:4] == b"RIFX" else "little") if data[8:12] == b"WAVE" else 0


def _aiff(data: bytes) -> int:
    return _chunks(data, b"SSND", "big") if data[8:12] in (b"AIFF", b"AIFC") else 0


def _au(data: bytes) -> int:
    offset, size = (int.from_bytes(data[at : at + 4], "big") for at in (4, 8))
    return 0 if size in _UNKNOWN else offset + size - len(data)


def _w64(data: bytes) -> int:
    size = int.from_bytes(data[16:24], "little")
    return 0 if size in _UNKNOWN else size - len(data)


def _caf(data: bytes) -> int:
    place = 8
    while place + 12 <= len(data):
        name, size = data[place : place + 4], int.from_bytes(data[place + 4 : place + 12], "big")
        if name == b"data":
            return 0 if size in _UNKNOWN else place + 12 + size - len(data)
        place += 12 + size
    return 0


def _ogg(data: bytes) -> int:
    """Of pages, each of which says where it ends."""
    place = 0
    while data[place : place + 4] == b"OggS":
        segments = data[place + 27 : place + 27 + data[place + 26]] if place + 26 < len(data) else b""
        place += 27 + (data[place + 26] if place + 26 < len(data) else 0) + sum(segments)
    return place - len(data)


_READERS: dict[bytes, Callable[[bytes], int]] = {
    b"RIFF": _wave,
    b"RIFX": _wave,
    b"RF64": _wave,
    b"FORM": _aiff,
    b".snd": _au,
    b"riff": _w64,
    b"caff": _caf,
    b"OggS": _ogg,
}
