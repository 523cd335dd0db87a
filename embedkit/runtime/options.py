"""How a bundle is loaded, checked once and handed on as one object."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from embedkit.errors import InputError

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

    def __post_init__(self) -> None:
        for name in ("device", "variant", "engine"):
            if not isinstance(getattr(self, name), str):
                raise InputError(f"{name}: expected a name, found {getattr(self, name)!r}")
        for name in ("threads", "token_budget"):
            check_count(name, getattr(self, name))
        check_on_truncate(self.on_truncate)


def check_count(name: str, value: object) -> None:
    """`InputError` for what is neither a positive integer nor None."""
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise InputError(f"{name}: expected a positive integer or None, found {value!r}")


def check_on_truncate(value: object) -> None:
    """`InputError` for what is no `OnTruncate`."""
    if value not in ("warn", "error", "ignore"):
        raise InputError(f"on_truncate: expected 'warn', 'error' or 'ignore', found {value!r}")
