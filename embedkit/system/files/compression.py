"""A file's bytes, decompressed."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import stat
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

from embedkit.system.extras import needed

BROKEN = (OSError, EOFError, zlib.error, lzma.LZMAError)
"""What reading a file may raise that is damaged, cut off or gone."""

_MAGIC = {
    ".gz": (b"\x1f\x8b\x08",),
    ".bz2": tuple(b"BZh%d" % level + block for level in range(1, 10) for block in (b"1AY&SY", b"\x17rE8P\x90")),
    ".xz": (b"\xfd7zXZ\0",),
    ".zst": (b"\x28\xb5\x2f\xfd", *(bytes([byte]) + b"\x2a\x4d\x18" for byte in range(0x50, 0x60))),
}
_PIECE = 1 << 10


def uncompressed_name(path: str) -> str:
    """The name without the suffix of a compression."""
    stem, suffix = os.path.splitext(path)
    return stem if suffix.lower() in _MAGIC else path


@contextmanager
def decompressed(path: str) -> Iterator[BinaryIO]:
    """The bytes of a file, or of standard input where ``path`` is ``-``; what is compressed, by its first bytes, is
    decompressed.

    Raises one of `BROKEN`, here or while it is read, and `MissingExtraError` for Zstandard without its package.
    """
    outer: AbstractContextManager[Any] = nullcontext(sys.stdin.buffer) if path == "-" else open(path, "rb")  # noqa: SIM115
    with outer as file:
        raw = file if hasattr(file, "peek") else io.BufferedReader(file)
        head = raw.peek(10)[:10]
        found = next((suffix for suffix, magics in _MAGIC.items() if head.startswith(magics)), "")
        named = os.path.splitext(path)[1].lower()
        if not found and named in _MAGIC:
            raise OSError(f"the name ends in {named}, and the file is not compressed so; rename or repair it")
        yield _decompressed(raw, found)


def state(path: str) -> tuple[int, ...] | None:
    """What differs when a file was changed or replaced; None where that cannot be told."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return (-1,)
    if not stat.S_ISREG(found.st_mode):
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _decompressed(raw: BinaryIO, suffix: str) -> BinaryIO:
    if not suffix:
        return raw
    if suffix == ".gz":
        return cast(BinaryIO, gzip.GzipFile(fileobj=raw))
    return cast(BinaryIO, io.BufferedReader(_Frames(raw, _FRAMES[suffix]())))


@dataclass(frozen=True)
class _Compression:
    """How a frame is read: ``opened`` gives what decompresses one, and raises an ``error`` where it is damaged; ``padding`` may stand
    between frames."""

    opened: Callable[[], Any]
    error: type[Exception]
    padding: bytes = b""


def _bz2() -> _Compression:
    return _Compression(bz2.BZ2Decompressor, OSError, b"\0")


def _xz() -> _Compression:
    return _Compression(lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ), lzma.LZMAError, b"\0")


def _zstandard() -> _Compression:
    package = needed("zstandard", "reading a file compressed with Zstandard", extra="zstd")
    return _Compression(lambda: package.ZstdDecompressor(max_window_size=1 << 27).decompressobj(), package.ZstdError)


_FRAMES = {".bz2": _bz2, ".xz": _xz, ".zst": _zstandard}


class _Frames(io.RawIOBase):
    """Frames one after another, those among them that hold no data (pzstd begins with one). Python's and the packages' own readers
    pass over what follows a frame and is none, and over a last one that is cut off."""

    def __init__(self, file: BinaryIO, compression: _Compression) -> None:
        self._file, self._compression = file, compression
        self._frame: Any = None
        self._input = self._output = b""

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill ``buffer``; 0 at the end."""
        while not self._output:
            self._input = self._input or self._file.read(_PIECE)
            if not self._input:
                if self._frame is not None:
                    raise EOFError("Compressed file ended before the end of a frame")
                return 0
            self._advance()
        count = min(len(buffer), len(self._output))
        buffer[:count] = self._output[:count]
        self._output = self._output[count:]
        return count

    def _advance(self) -> None:
        if self._frame is None:
            self._input = self._input.lstrip(self._compression.padding)
            if not self._input:
                return
            self._frame = self._compression.opened()
        try:
            self._output = self._frame.decompress(self._input)
        except self._compression.error as error:
            raise OSError(str(error)) from error
        self._input = self._frame.unused_data if self._frame.eof else b""
        if self._frame.eof:
            self._frame = None
