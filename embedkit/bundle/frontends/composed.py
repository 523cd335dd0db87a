"""What a manifest says of a role whose items have parts of several kinds: a picture with a text, stored features with a text."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import msgspec

from .base import Frontend, Model
from .features import FeaturesFrontend

PartName: TypeAlias = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,63}\Z")]


class ComposedFrontend(Model, frozen=True, tag_field="kind", tag="composed"):
    """Items are mappings from the names of ``parts`` to what each part reads; several may be of one kind, and none is composed
    itself. Graph inputs name the part that fills them."""

    parts: Annotated[dict[PartName, Frontend], msgspec.Meta(min_length=1)]

    def __post_init__(self) -> None:
        for name, part in self.parts.items():
            if isinstance(part, ComposedFrontend):
                raise ValueError(f"expected parts that are not composed themselves, found {name!r}")
            picture = part.boxes if isinstance(part, FeaturesFrontend) else None
            if picture is not None and (picture not in self.parts or self.parts[picture].kind != "image"):
                raise ValueError(f"expected `boxes` of {name!r} to name a part of the kind image, found {picture!r}")

    @property
    def kind(self) -> str:
        """What it reads."""
        return "composed"

    @property
    def files(self) -> tuple[str, ...]:
        """Those of all parts."""
        return tuple(dict.fromkeys(file for part in self.parts.values() for file in part.files))

    @property
    def longest(self) -> int:
        """Slots of an item: those of all parts."""
        return sum(part.longest for part in self.parts.values())
