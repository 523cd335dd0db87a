"""How a server answers: one object, made where it starts."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

from embedkit.checks import integer, one_of, positive, real
from embedkit.encoders.queue.admission import MAX_QUEUE_TOKENS
from embedkit.errors import DiskError, InputError, OptionError
from embedkit.vectors.quantization import Ranges

MAX_BODY = 32 << 20
"""The most bytes of a body, unless another number is given."""

TokenIds: TypeAlias = Literal["refuse", "model"]
"""What lists of integers are taken for: nothing, or tokens of the bundle's own tokenizer."""


@dataclass(frozen=True)
class ServeSettings:
    """What a server takes and refuses. ``keys`` are those that let a request in (none: all are); ``cors`` the origins that
    browsers may call from; times are in seconds; ``ranges`` those that int8 and uint8 answers are rounded in; ``store`` the URL of
    the collections that are searched; ``access_log`` whether a line is written for each request."""

    default_role: str = "default"
    strict_model: bool = False
    token_ids: TokenIds = "refuse"
    keys: tuple[str, ...] = field(default=(), repr=False)
    cors: tuple[str, ...] = ()
    max_queue: int = 16_384
    max_queue_tokens: int = MAX_QUEUE_TOKENS
    max_texts: int = 8192
    max_body: int = MAX_BODY
    body_timeout: float = 30.0
    timeout: float | None = None
    drain: float = 5.0
    grace: float = 25.0
    ranges: Ranges | None = None
    store: str | None = None
    access_log: bool = True
    metrics_apart: bool = False
    allow_change: bool = False

    def __post_init__(self) -> None:
        for name in ("max_queue", "max_queue_tokens", "max_texts", "max_body"):
            positive(name, getattr(self, name))
        for name in ("body_timeout", "drain", "grace"):
            real(name, getattr(self, name), least=0.0, most=86_400.0)
        if self.timeout is not None:
            real("timeout", self.timeout, least=0.001, most=86_400.0)
        one_of("token_ids", self.token_ids, ("refuse", "model"))
        for key in self.keys:
            if not key or not key.isascii() or not key.isprintable() or key != key.strip():
                raise OptionError("keys: expected printable ASCII without spaces around it; make another key")


def read_keys(path: str) -> tuple[str, ...]:
    """The keys of a file, one a line; what follows ``#`` at the start of a line is a remark."""
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DiskError(f"{path}: the keys cannot be read ({error}); give a file with a key a line") from None
    found = tuple(line.strip() for line in lines if line.strip() and not line.startswith("#"))
    if not found:
        raise InputError(
            f"{path}: expected a key a line, found none; a server without keys is one without --api-key-file"
        )
    return found


def check_port(name: str, port: int) -> int:
    """A port, 0 for any that is free; else `OptionError`."""
    return integer(name, port, least=0, most=65_535)
