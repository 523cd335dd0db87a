"""Sparse vectors as LangChain's Qdrant store takes them."""

from __future__ import annotations

from typing import Any

from embedkit.errors import InputError
from embedkit.integrations.loading import Given, described, encoder_of, found_again, missing
from embedkit.vectors.sparse import SparseVectors

try:
    from langchain_qdrant.sparse_embeddings import SparseEmbeddings, SparseVector
except ImportError as error:
    raise missing("langchain-qdrant", "langchain") from error


class EmbedkitSparseEmbeddings(SparseEmbeddings):
    """`SparseEmbeddings` by the first sparse output of a bundle (SPLADE); ``bundle`` and options as of `EmbedkitEmbeddings`."""

    def __init__(self, bundle: Given, **options: Any) -> None:
        self.encoder = encoder_of(bundle, **options)
        self._outputs = {role: _sparse(self.encoder.outputs(role)) for role in ("document", "query")}

    def embed_documents(self, texts: list[str]) -> list[SparseVector]:
        """The sparse vector of each document."""
        return _vectors(self.encoder.encode_document(list(texts), output=self._outputs["document"]))

    def embed_query(self, text: str) -> SparseVector:
        """The sparse vector of a question."""
        return _vectors(self.encoder.encode_query([text], output=self._outputs["query"]))[0]

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (described(self.encoder),)


def _again(about: dict[str, Any]) -> EmbedkitSparseEmbeddings:
    return EmbedkitSparseEmbeddings(found_again(about))


def _sparse(outputs: dict[str, Any]) -> str:
    for name, output in outputs.items():
        if output.kind == "sparse":
            return name
    raise InputError(f"this bundle gives no sparse vectors, but {', '.join(outputs)}; use one that does, as of SPLADE")


def _vectors(found: SparseVectors) -> list[SparseVector]:
    return [SparseVector(indices=indices.tolist(), values=values.tolist()) for indices, values in found]
