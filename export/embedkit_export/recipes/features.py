"""What a recipe says of a role, or a part of one, that reads numbers which were made before."""

from __future__ import annotations

from typing import Literal

import msgspec

from embedkit.bundle.manifest import FeaturesFrontend
from embedkit.errors import InputError


class FeaturesInput(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Arrays of the ``shape`` [dim], [rows, dim] or ["any", dim] (of one to ``max`` rows): stored token vectors, vectors, or boxes
    (left, top, right, bottom) in the part ``boxes``, a picture. See `embedkit.bundle.manifest.FeaturesFrontend`."""

    shape: list[int | Literal["any"]]
    dtype: Literal["float32", "int32", "int64", "uint8"] = "float32"
    max: int = 1024
    boxes: str | None = None

    def frontend(self) -> FeaturesFrontend:
        """What the manifest says of it."""
        return msgspec.convert(msgspec.structs.asdict(self), FeaturesFrontend)


def features_input(given: object, where: str) -> FeaturesFrontend:
    """The frontend of a `FeaturesInput` or of a table; `InputError` that names the field."""
    try:
        found = given if isinstance(given, FeaturesInput) else msgspec.convert(given, FeaturesInput)
        return found.frontend()
    except (msgspec.ValidationError, ValueError) as error:
        raise InputError(f"{where}: features: {error}; found {given!r:.120}") from None
