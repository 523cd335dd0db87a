"""Which files a row stands for, and what of them is kept."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

from embedkit.checks import items_of, one_of, path_of
from embedkit.errors import InputError

Exif: TypeAlias = Literal["time", "camera"]


@dataclass(frozen=True, slots=True)
class MediaFields:
    """Of rows that are pictures: ``image`` is the field of a table that names the file, below ``root`` or else beside the table.
    ``root`` is the folder that a ``uri`` is relative to. ``exif`` names what is kept of what a camera wrote: ``time`` (as ``taken``) and
    ``camera``; never where it was taken."""

    image: str | None = None
    root: str | None = None
    exif: tuple[Exif, ...] = ()

    @classmethod
    def of(cls, image: str | None, root: str | os.PathLike[str] | None, exif: Iterable[str] | None) -> MediaFields:
        """The same, checked; `InputError` for a root that is no folder."""
        if image is not None and (not isinstance(image, str) or not image):
            raise InputError(f"image_field: expected the name of a field, found {image!r}")
        place = None if root is None else path_of("root", root)
        if place is not None and not os.path.isdir(place):
            raise InputError(f"root: expected a folder, found {place!r}, which is none")
        kept: list[Any] = list(items_of("exif", exif, "name", ordered=False)) if exif is not None else []
        for name in kept:
            one_of("exif", name, get_args(Exif))
        return cls(image, place, tuple(dict.fromkeys(kept)))

    def uri(self, path: str) -> str:
        """How a file is called in the store. Raises `ValueError` for one that is not below the root."""
        if self.root is None:
            return path
        try:
            relative = os.path.relpath(os.path.abspath(path), os.path.abspath(self.root))
        except ValueError:  # another drive
            relative = os.pardir
        if relative.split(os.sep)[0] == os.pardir:
            raise ValueError(f"{path} is not below the root {self.root}; give a root that holds all files")
        return relative.replace(os.sep, "/")


def located(metadata: Mapping[str, Any], root: str | None) -> Mapping[str, Any]:
    """A row's metadata with the path of its file as ``uri``, which may be relative to ``root``."""
    uri = metadata.get("uri")
    if root is None or not isinstance(uri, str) or not uri:
        return metadata
    return {**metadata, "uri": os.path.join(root, uri)}
