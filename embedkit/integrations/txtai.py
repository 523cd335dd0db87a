"""txtai's vectors by a bundle: ``Embeddings(path="bundle", method="embedkit.integrations.txtai.EmbedkitVectors")``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from embedkit.errors import InputError
from embedkit.integrations.loading import encoder_of, missing
from embedkit.vectors.arrays import FloatArray

try:
    from txtai.vectors import Vectors
except ImportError as error:
    raise missing("txtai", "txtai") from error


class EmbedkitVectors(Vectors):
    """Documents and questions each with the bundle's own template; ``path`` is a folder or a server's address."""

    def loadmodel(self, path: str) -> Any:
        """The bundle's encoder."""
        if not path:
            raise InputError("path: expected a bundle's folder or a server's address, found none")
        encoder = encoder_of(path)
        if encoder.kind != "dense":
            raise InputError(f"this bundle gives {encoder.kind} vectors first; txtai takes dense ones")
        return encoder

    def encode(self, data: Sequence[str], category: str | None = None) -> FloatArray:
        """(n, dim) vectors of questions (``query``) or documents (``data``)."""
        role = {"query": "query", "data": "document"}.get(category or "", "default")
        found: FloatArray = self.model.encode([str(text) for text in data], role=role)
        return np.ascontiguousarray(found)
