"""What the numbers and vectors of a model stand for: words of its vocabulary, tokens of a text."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from embedkit.encoders.base import BaseEncoder
from embedkit.errors import EmbedkitError
from embedkit.runtime.frontends.base import Item
from embedkit.runtime.frontends.text.tokens import KeptTokens

_VOCABULARY = 0.9
"""A sparse vector with fewer numbers than this share of the vocabulary has others than words."""


class Names:
    """Names for one role of a bundle; numbers, as ``#7``, where it has no tokenizer here or reads something else than texts."""

    def __init__(self, encoder: BaseEncoder, role: str) -> None:
        self.modality = encoder.modality(role)
        self._tokens: KeptTokens | None = None
        with suppress(EmbedkitError):
            self._tokens = KeptTokens(encoder.bundle, role)

    def words(self, numbers: Sequence[int], dim: int) -> list[str]:
        """What the numbers of a sparse vector of ``dim`` stand for."""
        if self._tokens is None or dim < _VOCABULARY * self._tokens.size:
            return [f"#{number}" for number in numbers]
        return [self._tokens.shown(number) for number in numbers]

    def tokens(self, item: Item, count: int) -> list[str]:
        """What each of an item's ``count`` vectors stands for."""
        found: list[str] = []
        if self._tokens is not None:
            with suppress(EmbedkitError):
                found = self._tokens.of(self.modality.check(item, self.modality.noun))
        return found if len(found) == count else [f"#{number}" for number in range(count)]
