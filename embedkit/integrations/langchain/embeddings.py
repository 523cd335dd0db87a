"""Dense vectors as LangChain takes them."""

from __future__ import annotations

from typing import Any

from embedkit.integrations.loading import Given, described, encoder_of, found_again, missing

try:
    from langchain_core.embeddings import Embeddings
except ImportError as error:
    raise missing("langchain-core", "langchain") from error


class EmbedkitEmbeddings(Embeddings):
    """LangChain's `Embeddings` by a bundle: its template for documents and for queries, so no prompt is to be added.

    ``bundle`` is a folder, a server's address or a loaded encoder; other options are those of `embedkit.Encoder.load`. It is
    pickled as its place and fingerprint, and refuses another model there.
    """

    def __init__(self, bundle: Given, *, dim: int | None = None, **options: Any) -> None:
        self.encoder = encoder_of(bundle, **options)
        self.dim = dim

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """The vector of each document."""
        found: list[list[float]] = self.encoder.encode_document(list(texts), dim=self.dim).tolist()
        return found

    def embed_query(self, text: str) -> list[float]:
        """The vector of a question."""
        found: list[float] = self.encoder.encode_query(text, dim=self.dim).tolist()
        return found

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (described(self.encoder), self.dim)


def _again(about: dict[str, Any], dim: int | None) -> EmbedkitEmbeddings:
    return EmbedkitEmbeddings(found_again(about), dim=dim)
