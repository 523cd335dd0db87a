"""Dense and sparse vectors as LlamaIndex takes them."""

from __future__ import annotations

import asyncio
from typing import Any

from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.base.embeddings.base_sparse import BaseSparseEmbedding
from llama_index.core.bridge.pydantic import PrivateAttr

from embedkit.encoders.base import BaseEncoder
from embedkit.errors import InputError
from embedkit.integrations.loading import Given, described, encoder_of
from embedkit.stores.fingerprint import firsts


class EmbedkitEmbedding(BaseEmbedding):
    """LlamaIndex's `BaseEmbedding` by a bundle, with its templates of queries and documents. ``bundle`` is a folder, a server's
    address or a loaded encoder; other options are those of `embedkit.Encoder.load`."""

    fingerprint: str = ""
    dim: int | None = None
    _encoder: BaseEncoder = PrivateAttr()

    def __init__(self, bundle: Given, *, dim: int | None = None, embed_batch_size: int = 512, **options: Any) -> None:
        encoder = encoder_of(bundle, **options)
        about = described(encoder)
        super().__init__(
            model_name=str(about["bundle"]), embed_batch_size=embed_batch_size, fingerprint=encoder.fingerprint, dim=dim
        )
        self._encoder = encoder

    @property
    def encoder(self) -> BaseEncoder:
        """What computes the vectors."""
        return self._encoder

    @classmethod
    def class_name(cls) -> str:
        """The name under which it is written down."""
        return "EmbedkitEmbedding"

    def _get_query_embedding(self, query: str) -> list[float]:
        found: list[float] = self._encoder.encode_query(query, dim=self.dim).tolist()
        return found

    def _get_text_embedding(self, text: str) -> list[float]:
        return self._get_text_embeddings([text])[0]

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        found: list[list[float]] = self._encoder.encode_document(list(texts), dim=self.dim).tolist()
        return found

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return await asyncio.to_thread(self._get_query_embedding, query)

    async def _aget_text_embedding(self, text: str) -> list[float]:
        return await asyncio.to_thread(self._get_text_embedding, text)

    async def _aget_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return await asyncio.to_thread(self._get_text_embeddings, texts)


class EmbedkitSparseEmbedding(BaseSparseEmbedding):
    """LlamaIndex's `BaseSparseEmbedding` (index -> weight) by the first sparse output of a bundle."""

    _encoder: BaseEncoder = PrivateAttr()
    _outputs: dict[str, str] = PrivateAttr()

    def __init__(self, bundle: Given, *, embed_batch_size: int = 512, **options: Any) -> None:
        encoder = encoder_of(bundle, **options)
        outputs: dict[str, str] = {}
        for role in ("query", "document"):
            name = firsts(encoder.outputs(role)).get("sparse")
            if name is None:
                raise InputError(
                    f"this bundle gives no sparse vectors, but {', '.join(encoder.outputs(role))}; use one that does"
                )
            outputs[role] = name
        super().__init__(model_name=str(described(encoder)["bundle"]), embed_batch_size=embed_batch_size)
        self._encoder, self._outputs = encoder, outputs

    @classmethod
    def class_name(cls) -> str:
        """The name under which it is written down."""
        return "EmbedkitSparseEmbedding"

    def _get_query_embedding(self, query: str) -> dict[int, float]:
        return self._vectors([query], "query")[0]

    def _get_text_embedding(self, text: str) -> dict[int, float]:
        return self._vectors([text], "document")[0]

    def _get_text_embeddings(self, texts: list[str]) -> list[dict[int, float]]:
        return self._vectors(list(texts), "document")

    async def _aget_query_embedding(self, query: str) -> dict[int, float]:
        return await asyncio.to_thread(self._get_query_embedding, query)

    async def _aget_text_embedding(self, text: str) -> dict[int, float]:
        return await asyncio.to_thread(self._get_text_embedding, text)

    async def _aget_text_embeddings(self, texts: list[str]) -> list[dict[int, float]]:
        return await asyncio.to_thread(self._get_text_embeddings, texts)

    def _vectors(self, texts: list[str], role: str) -> list[dict[int, float]]:
        found = self._encoder.encode(texts, role=role, output=self._outputs[role])
        return [dict(zip(indices.tolist(), values.tolist(), strict=True)) for indices, values in found]
