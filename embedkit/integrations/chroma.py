"""Chroma's embedding function, for those who use Chroma's own client. (``embedkit ingest`` needs none.)

Chroma keeps its name and what it is made of with the collection, so import this module before such a collection is opened again.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from embedkit.integrations.loading import Given, described, encoder_of, found_again, missing

try:
    from chromadb.api.types import Documents, EmbeddingFunction, Embeddings, Space
    from chromadb.utils.embedding_functions import register_embedding_function
except ImportError as error:
    raise missing("chromadb", "chroma") from error

_SPACES: dict[str, Space] = {"cosine": "cosine", "dot": "ip", "euclidean": "l2"}


@register_embedding_function
class EmbedkitEmbeddingFunction(EmbeddingFunction[Documents]):
    """``client.create_collection("docs", embedding_function=EmbedkitEmbeddingFunction("bundle"))``: documents and questions each with
    the bundle's own template. ``bundle`` is a folder, a server's address or a loaded encoder; other options are those of
    `embedkit.Encoder.load`. A collection that is opened again refuses another model at the same place."""

    def __init__(self, bundle: Given, *, dim: int | None = None, **options: Any) -> None:
        self.encoder, self.dim = encoder_of(bundle, **options), dim

    def __call__(self, input: Documents) -> Embeddings:
        """The vectors of documents."""
        return list(np.asarray(self.encoder.encode_document(list(input), dim=self.dim)))

    def embed_query(self, input: Documents) -> Embeddings:
        """The vectors of questions."""
        return list(np.asarray(self.encoder.encode_query(list(input), dim=self.dim)))

    @staticmethod
    def name() -> str:
        """What Chroma keeps it under."""
        return "embedkit"

    def default_space(self) -> Space:
        """How this model's vectors are compared, in Chroma's word."""
        return _SPACES[self.encoder.metric]

    def supported_spaces(self) -> list[Space]:
        """Those that rank as the model does."""
        return [space for metric, space in _SPACES.items() if self.encoder.allows(metric)]

    def get_config(self) -> dict[str, Any]:
        """What `build_from_config` makes it of again."""
        return {**described(self.encoder), "dim": self.dim}

    @staticmethod
    def build_from_config(config: dict[str, Any]) -> EmbedkitEmbeddingFunction:
        """The function that was kept; `BundleError` where another model is there now."""
        return EmbedkitEmbeddingFunction(found_again(config), dim=config.get("dim"))

    def validate_config_update(self, old_config: dict[str, Any], new_config: dict[str, Any]) -> None:
        """Another model's vectors cannot be put beside those that are there."""
        if old_config["fingerprint"] != new_config["fingerprint"] or old_config.get("dim") != new_config.get("dim"):
            raise ValueError("the collection holds another model's vectors; make a new collection")
