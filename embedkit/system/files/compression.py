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
from typing import Any, BinaryIO, Protocol, cast

from embedkit.system.extras import needed

from .addresses import is_far, open_far, without_query

BROKEN = (OSError, EOFError, zlib.error, lzma.LZMAError)
"""What reading a file may raise that is damaged, cut off or gone."""

_MAGIC = {
    ".gz": (b"\x1f\x8b\x08",),
    ".bz2": tuple(b"BZh%d%b" % (n, begin) for n in range(1, 10) for begin in (b"1AY&SY", b"\x17\x72\x45\x38\x50\x90")),
    ".xz": (b"\xfd7zXZ\0",),
    ".zst": (b"\x28\xb5\x2f\xfd", *(bytes([byte]) + b"\x2a\x4d\x18" for byte in range(0x50, 0x60))),
}
_PIECE = 1 << 10


def uncompressed_name(path: str) -> str:
    """The name without the suffix of a compression, and without what follows the name in an address."""
    path = without_query(path)
    stem, suffix = os.path.splitext(path)
    return stem if suffix.lower() in _MAGIC else path


@contextmanager
def decompressed(path: str) -> Iterator[BinaryIO]:
    """The bytes of a file, here or at an address, or of standard input where ``path`` is ``-``; what is compressed, by its first bytes, is
    decompressed.

    Raises one of `BROKEN`, here or while it is read, and `MissingExtraError` for Zstandard without its package.
    """
    with _bytes(path) as file:
        raw = file if hasattr(file, "peek") else io.BufferedReader(file)
        head = raw.peek(10)[:10]
        found = next((suffix for suffix, magics in _MAGIC.items() if head.startswith(magics)), "")
        named = os.path.splitext(without_query(path))[1].lower()
        if not found and named in _MAGIC:
            raise OSError(f"the name ends in {named}, and the file is not compressed so; rename or repair it")
        yield _decompressed(raw, found)


def state(path: str) -> tuple[int, ...] | None:
    """What differs when a file was changed or replaced; None where that cannot be told, as at an address."""
    if is_far(path):
        return None
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return (-1,)
    if not stat.S_ISREG(found.st_mode):
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _bytes(path: str) -> AbstractContextManager[Any]:
    if path == "-":
        return nullcontext(sys.stdin.buffer)
    return open_far(path) if is_far(path) else open(path, "rb")


def _decompressed(raw: BinaryIO, suffix: str) -> BinaryIO:
    if suffix == ".gz":
        return cast(BinaryIO, gzip.GzipFile(fileobj=raw))
    if suffix == ".bz2":
        return _frames(raw, bz2.BZ2Decompressor, padding=b"\0")  # as tapes and blocks of a device have it
    if suffix == ".xz":  # whose streams may have zeros behind them
        return _frames(raw, lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ), padding=b"\0")
    if suffix == ".zst":
        module = needed("zstandard", "reading a file compressed with Zstandard", extra="zstd")
        return _frames(raw, lambda: _Zstandard(module))
    return raw


def _frames(raw: BinaryIO, new: Callable[[], _Frame], padding: bytes = b"") -> BinaryIO:
    return cast(BinaryIO, io.BufferedReader(_Frames(raw, new, padding)))


class _Frame(Protocol):
    """What decompresses one frame, as Python's own decompressors do."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, /) -> bytes: ...


class _Zstandard:
    """A frame of Zstandard; damage is an `OSError`."""

    def __init__(self, module: Any) -> None:
        self._broken = module.ZstdError
        self._frame = module.ZstdDecompressor(max_window_size=1 << 27).decompressobj()

    @property
    def eof(self) -> bool:
        """Whether the frame has ended."""
        return bool(self._frame.eof)

    @property
    def unused_data(self) -> bytes:
        """What stands behind it."""
        found: bytes = self._frame.unused_data
        return found

    def decompress(self, data: bytes, /) -> bytes:
        """The next bytes."""
        try:
            found: bytes = self._frame.decompress(data)
        except self._broken as error:
            raise OSError(str(error)) from error
        return found


class _Frames(io.RawIOBase):
    """Frames one after another, those among them that hold no data (pzstd begins with one); unlike the packages' own readers it
    notices that the last one is cut off, and what stands behind one and is none."""

    def __init__(self, file: BinaryIO, new: Callable[[], _Frame], padding: bytes) -> None:
        self._file, self._new, self._padding = file, new, padding
        self._frame: _Frame | None = None
        self._input, self._output = b"", memoryview(b"")

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
            self._input = self._input.lstrip(self._padding) if self._padding else self._input
            if not self._input:
                return
            self._frame = self._new()
        self._output = memoryview(self._frame.decompress(self._input))
        self._input = self._frame.unused_data if self._frame.eof else b""
        if self._frame.eof:
            self._frame = None
