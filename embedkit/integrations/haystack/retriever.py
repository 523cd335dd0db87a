"""The documents of an `EmbedkitDocumentStore` nearest to a question's vector."""

from __future__ import annotations

from typing import Any

from haystack import Document, component, default_from_dict, default_to_dict
from haystack.document_stores.types import FilterPolicy
from haystack.document_stores.types.filter_policy import apply_filter_policy

from embedkit.checks import positive
from embedkit.errors import InputError

from .store import EmbedkitDocumentStore


@component
class EmbedkitEmbeddingRetriever:
    """Retrieves by dense vectors. Filters given to ``run`` take the place of the retriever's own, or are joined to them, as
    ``filter_policy`` says."""

    def __init__(
        self,
        *,
        document_store: EmbedkitDocumentStore,
        filters: dict[str, Any] | None = None,
        top_k: int = 10,
        filter_policy: str | FilterPolicy = FilterPolicy.REPLACE,
    ) -> None:
        if not isinstance(document_store, EmbedkitDocumentStore):
            raise InputError(
                f"document_store: expected an EmbedkitDocumentStore, found {type(document_store).__name__}"
            )
        self.document_store, self.filters, self.top_k = document_store, filters, positive("top_k", top_k)
        policy = filter_policy
        self.filter_policy = policy if isinstance(policy, FilterPolicy) else FilterPolicy.from_str(policy)

    @component.output_types(documents=list[Document])
    def run(
        self, query_embedding: list[float], filters: dict[str, Any] | None = None, top_k: int | None = None
    ) -> dict[str, Any]:
        """``documents``, best first."""
        asked = apply_filter_policy(self.filter_policy, self.filters, filters)
        most = self.top_k if top_k is None else positive("top_k", top_k)
        return {"documents": self.document_store.nearest(query_embedding, asked, most)}

    def to_dict(self) -> dict[str, Any]:
        """What `from_dict` makes it of again."""
        return dict(
            default_to_dict(
                self,
                document_store=self.document_store.to_dict(),
                filters=self.filters,
                top_k=self.top_k,
                filter_policy=self.filter_policy.value,
            )
        )

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> EmbedkitEmbeddingRetriever:
        """The component that was written."""
        given = dict(data["init_parameters"])
        if isinstance(given["document_store"], dict):
            given["document_store"] = EmbedkitDocumentStore.from_dict(given["document_store"])
        made: EmbedkitEmbeddingRetriever = default_from_dict(cls, {**data, "init_parameters": given})
        return made
