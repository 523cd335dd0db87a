"""How items are encoded, as one object that is made where a call begins and handed on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias, TypedDict

import numpy.typing as npt

from embedkit.runtime.frontends.base import Item
from embedkit.runtime.options import OnTruncate, check_on_truncate
from embedkit.vectors.quantization import Precision, Ranges


@dataclass(frozen=True, slots=True)
class EncodeOptions:
    """What `Encoder.encode` takes, with its meaning there; ``on_truncate`` None is what the encoder was loaded with."""

    role: str = "default"
    dim: int | None = None
    precision: Precision = "float32"
    ranges: Ranges | npt.ArrayLike | None = None
    output: str | None = None
    on_truncate: OnTruncate | None = None

    def __post_init__(self) -> None:
        if self.on_truncate is not None:
            check_on_truncate(self.on_truncate)


Items: TypeAlias = "Item | Iterable[Item]"
"""One item, or any number of them."""


class PartKeywords(TypedDict, total=False):
    """The keywords that all forms of encoding share."""

    dim: int | None
    ranges: Ranges | npt.ArrayLike | None
    on_truncate: OnTruncate | None


class StreamKeywords(PartKeywords, total=False):
    """Those of a call that names its role."""

    role: str


class RoleKeywords(PartKeywords, total=False):
    """Those of a call that returns everything at once."""

    progress: bool | None


class Keywords(RoleKeywords, total=False):
    """Those of a call that names its role and returns everything at once."""

    role: str
