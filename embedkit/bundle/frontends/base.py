"""What the structs of a manifest have in common, and what every frontend says of itself."""

from __future__ import annotations

from typing import Annotated, Protocol, TypeAlias, runtime_checkable

import msgspec

Sha256: TypeAlias = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
Positive: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=(1 << 31) - 1)]
Id: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]
Name: TypeAlias = Annotated[str, msgspec.Meta(min_length=1)]
FileName: TypeAlias = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class Model(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, frozen=True):
    """What refuses unknown fields, and does not write what is as it is by default."""


class Choice(Model, frozen=True):
    """A number for each value of an input field, and the value that stands for a field that is not given."""

    field: Name
    values: Annotated[dict[str, Id], msgspec.Meta(min_length=1)]
    default: str | None = None

    def __post_init__(self) -> None:
        if self.default is not None and self.default not in self.values:
            raise ValueError("expected a `default` that is one of `values`")


@runtime_checkable
class Frontend(Protocol):
    """How the items of a role become tensors. What each kind says is a struct of its own, tagged by ``kind``: a
    module of this folder a kind; those of other packages are found by `embedkit.bundle.validation`."""

    @property
    def kind(self) -> str:
        """What it reads."""
        ...

    @property
    def longest(self) -> int:
        """Tokens, or whatever else the items are made of, that are read of one item."""
        ...

    @property
    def files(self) -> tuple[str, ...]:
        """Names of the files that it needs."""
        ...
