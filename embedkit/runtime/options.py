"""How a bundle is loaded and how items are encoded: each as one object, made where a call begins and handed on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias, TypedDict

import numpy.typing as npt

from embedkit.errors import OptionError
from embedkit.vectors.quantization import Precision, Ranges

from .frontends.base import Item

Decode: TypeAlias = Literal["exact", "fast"]
"""How pictures are decoded and made smaller: as the model was trained, or JPEGs at a part of their size and by a first coarse step."""

OnTruncate: TypeAlias = Literal["warn", "error", "ignore"]
"""What an item that is longer than the model reads gives: a warning, an error, or nothing but a count."""


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """What `Encoder.load` takes, with its meaning there. Raises `InputError` for what says nothing sensible; a device, a
    variant and an engine are checked against what there is when the bundle is loaded."""

    device: str = "auto"
    variant: str = "auto"
    engine: str = "auto"
    threads: int | None = None
    token_budget: int | None = None
    on_truncate: OnTruncate = "warn"
    decode: Decode = "exact"

    def __post_init__(self) -> None:
        for name in ("device", "variant", "engine"):
            if not isinstance(getattr(self, name), str):
                raise OptionError(f"{name}: expected a name, found {getattr(self, name)!r}")
        for name in ("threads", "token_budget"):
            check_count(name, getattr(self, name))
        check_on_truncate(self.on_truncate)
        if not isinstance(self.decode, str) or self.decode not in ("exact", "fast"):
            raise OptionError(f"decode: expected 'exact' or 'fast', found {self.decode!r}")


@dataclass(frozen=True, slots=True)
class EncodeOptions:
    """What `Encoder.encode` takes, with its meaning there; ``on_truncate`` None is what the encoder was loaded with."""

    role: str = "default"
    dim: int | None = None
    precision: Precision = "float32"
    ranges: Ranges | npt.ArrayLike | None = None
    output: str | None = None
    on_truncate: OnTruncate | None = None


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


def decoding_space(fingerprint: str, decode: Decode) -> str:
    """A bundle's fingerprint with how pictures are decoded, where that is not as the model was trained: other vectors."""
    return fingerprint if decode == "exact" else f"{fingerprint} decode {decode}"


def check_count(name: str, value: object) -> None:
    """`InputError` for what is neither a positive integer nor None."""
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise OptionError(f"{name}: expected a positive integer or None, found {value!r}")


def check_on_truncate(value: object) -> None:
    """`InputError` for what is no `OnTruncate`."""
    if not isinstance(value, str) or value not in ("warn", "error", "ignore"):
        raise OptionError(f"on_truncate: expected 'warn', 'error' or 'ignore', found {value!r}")
