"""What holds for every request: its keys, the size of its body, and its time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from .failures import Refusal

TIMEOUT_HEADER = "x-request-timeout-ms"


@dataclass(frozen=True, slots=True)
class Limits:
    """The keys that let a request in, the most bytes of its body and the seconds in which these must come; ``begin`` is told of the
    seconds that a client gives its request."""

    keys: tuple[str, ...] = field(default=(), repr=False)
    max_body: int = 32 << 20
    body_timeout: float = 30.0
    begin: Callable[[float | None], object] = lambda seconds: None

    def set_timeout(self, headers: Mapping[str, str]) -> None:
        """Tell of the time that the header ``x-request-timeout-ms`` gives; `Refusal` where that is no number."""
        given = headers.get(TIMEOUT_HEADER)
        if given is None:
            self.begin(None)
            return
        if not given.isdecimal() or not given.isascii() or not 0 < int(given[:12]) <= 86_400_000:
            raise Refusal(400, f"{TIMEOUT_HEADER}: expected milliseconds from 1 to 86400000, found {given!r:.40}")
        self.begin(int(given) / 1000)
