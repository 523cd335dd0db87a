"""How much may wait, and when somebody who was refused may come again."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from embedkit.checks import positive
from embedkit.errors import OverloadedError
from embedkit.runtime.frontends.base import Item, Modality

MAX_QUEUE = 1_024
MAX_QUEUE_TOKENS = 1 << 20
"""What may wait unless another number is given: texts, and tokens."""

_CHARACTERS_A_TOKEN = 4
_OWN_TOKENS = 2
_HALF_LIFE = 10.0
_SOONEST, _LATEST = 1.0, 60.0


def estimated_tokens(modality: Modality, items: Sequence[Item]) -> npt.NDArray[np.int64]:
    """(n,) about as many tokens as each checked item has, by its characters or by what it holds in memory. Nothing is cut: what
    waits is held whole."""
    costs = np.fromiter((modality.cost(item) for item in items), dtype=np.int64, count=len(items))
    return _OWN_TOKENS + costs // _CHARACTERS_A_TOKEN


class Admission:
    """The most texts and tokens that may wait, and the pace of the work: a moving average of tokens a second."""

    def __init__(self, max_queue: int = MAX_QUEUE, max_queue_tokens: int = MAX_QUEUE_TOKENS) -> None:
        self.max_queue = positive("max_queue", max_queue)
        self.max_queue_tokens = positive("max_queue_tokens", max_queue_tokens)
        self._tokens = self._seconds = 0.0
        self._since: float | None = None

    def check(self, waiting: tuple[int, int], more: tuple[int, int]) -> None:
        """Raise `OverloadedError` where ``more`` texts and tokens cannot wait beside those ``waiting``; what is larger than the
        whole queue may where nothing waits."""
        (texts, tokens), (new_texts, new_tokens) = waiting, more
        if not texts:
            return
        if texts + new_texts > self.max_queue:
            limit = f"{texts} texts wait already, and {new_texts} more would be above max_queue={self.max_queue}"
        elif tokens + new_tokens > self.max_queue_tokens:
            limit = (
                f"about {tokens:,} tokens wait already, and {new_tokens:,} more would be above max_queue_tokens="
                f"{self.max_queue_tokens}"
            )
        else:
            return
        raise OverloadedError(
            f"{limit}; try again later, send fewer at a time, or add workers (embedkit.EncoderPool)",
            waiting=texts,
            retry_after=self.retry_after(tokens),
        )

    def retry_after(self, tokens: int) -> float:
        """Seconds, from 1 to 60, until so many tokens that wait are done, by the pace so far."""
        if not self._tokens:
            return _SOONEST
        return min(max(tokens * self._seconds / self._tokens, _SOONEST), _LATEST)

    def begin(self, now: float) -> None:
        """Work begins at a time in seconds: what goes before, when nothing is done, counts for no pace."""
        if self._since is None:
            self._since = now

    def end(self, now: float, tokens: int, *, idle: bool) -> None:
        """So many tokens are done; ``idle`` where no other work goes on."""
        if self._since is None:
            return
        elapsed = max(now - self._since, 1e-6)
        keep = 0.5 ** (elapsed / _HALF_LIFE)
        self._tokens, self._seconds = self._tokens * keep + tokens, self._seconds * keep + elapsed
        self._since = None if idle else now
