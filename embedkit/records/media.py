"""Media that are no files: what tells their bytes from a text."""

from __future__ import annotations

from dataclasses import dataclass, field

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
