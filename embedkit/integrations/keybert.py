"""KeyBERT by a bundle. KeyBERT takes an object with ``encode`` alone for none, and uses a model of its own; this is one it knows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from embedkit.integrations.loading import Given, encoder_of, missing
from embedkit.vectors.arrays import FloatArray

try:
    from keybert.backend import BaseEmbedder
except ImportError as error:
    raise missing("keybert", "keybert") from error


class EmbedkitBackend(BaseEmbedder):
    """``KeyBERT(model=EmbedkitBackend("bundle"))``. ``bundle`` is a folder, a server's address or a loaded encoder; other options are
    those of `embedkit.Encoder.load`. Documents and words are compared with each other, so both are encoded in ``role``."""

    def __init__(self, bundle: Given, *, role: str = "default", **options: Any) -> None:
        self.encoder, self.role = encoder_of(bundle, **options), role
        super().__init__(embedding_model=self.encoder)

    def embed(self, documents: Sequence[str], verbose: bool = False) -> FloatArray:
        """(n, dim) vectors."""
        return self.encoder.encode(list(documents), role=self.role, progress=verbose)
