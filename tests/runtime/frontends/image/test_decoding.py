"""What is read, and what is refused before it is decoded."""

from __future__ import annotations

import struct
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from embedkit.runtime.frontends.image import decoding
from embedkit.runtime.frontends.image.decoding import MAX_PICTURE_BYTES, picture_of
from embedkit.runtime.frontends.media import Undecodable, read_file
from helpers.pictures import drawn, saved


def png_of(width: int, height: int) -> bytes:
    """The head of a PNG that says it has so many pixels, and a little of them."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", zlib.compress(b"\0" * 1000)), (b"IEND", b"")]
    parts = [struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"])
def test_the_formats_that_are_read(kind: str) -> None:
    assert picture_of(saved(drawn(), kind)).size == (60, 40)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", r"the file is empty \(0 bytes\)"),
        (
            b"just a text that is called picture.jpg",
            "no picture: expected JPEG, .*found bytes that begin with b'just a t'",
        ),
        (saved(drawn(), "PPM"), "no picture: expected JPEG"),
        (saved(drawn())[:-60], "truncated PNG"),
        (saved(drawn(), "JPEG")[:700], "truncated JPEG"),
        (png_of(20_000, 20_000), "too many pixels|20000 x 20000 = 400,000,000 pixels, and at most"),
        (png_of(10_000, 9_000), "10000 x 9000 = 90,000,000 pixels, and at most 89,478,485"),
        (png_of(0, 5), "broken|no pixel|no picture"),
    ],
)
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_what_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(Undecodable, match=reason):
        picture_of(data)


def test_every_cut_of_a_file_is_refused_or_whole() -> None:
    for kind in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"):
        data = saved(drawn(), kind)
        whole = np.asarray(picture_of(data))
        for cut in range(0, len(data), max(1, len(data) // 40)):
            try:
                found = np.asarray(picture_of(data[:cut]))
            except Undecodable:
                continue
            assert np.array_equal(found, whole), (kind, cut)


def test_noise_raises_nothing_else() -> None:
    rng = np.random.default_rng(0)
    for kind in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"):
        data = bytearray(saved(drawn(), kind))
        for _ in range(30):
            broken = bytearray(data)
            for place in rng.integers(0, len(data), 8):
                broken[place] = rng.integers(0, 256)
            with suppress(Undecodable):
                picture_of(bytes(broken))


def test_a_file_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "MAX_PICTURE_BYTES", 100)
    path = tmp_path / "a.bmp"
    path.write_bytes(bytes(101))
    with pytest.raises(Undecodable, match="a file of 101 bytes or more, and at most 100"):
        read_file(path, 100)
    with pytest.raises(Undecodable, match="a file of 101 bytes or more, and at most 100"):
        picture_of(bytes(101))


@pytest.mark.parametrize("name", ["nothing.png", ".", "a\0b"])
def test_a_path_that_cannot_be_read(name: str, tmp_path: Path) -> None:
    with pytest.raises(Undecodable, match="cannot be read"):
        read_file(tmp_path / name, MAX_PICTURE_BYTES)


def test_without_pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    from embedkit import MissingExtraError

    decoding.pillow.cache_clear()
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    with pytest.raises(MissingExtraError, match="pillow.*image"):
        decoding.pillow()
