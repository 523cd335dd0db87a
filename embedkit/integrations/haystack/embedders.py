"""Embedders: of a question (``run(text)``) and of documents (``run(documents)``), each with the bundle's own template."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from haystack import Document, component, default_from_dict, default_to_dict
from haystack.dataclasses import SparseEmbedding

from embedkit.encoders.base import BaseEncoder
from embedkit.errors import InputError
from embedkit.integrations.shared.loading import found_again
from embedkit.stores.fingerprint import firsts


class _Loaded:
    """A bundle that is loaded when the component is warmed up, or first used; written down by its place and fingerprint. Haystack
    makes components' classes anew, so these call its ``__init__`` by name."""

    def __init__(self, bundle: str, *, variant: str = "auto", fingerprint: str | None = None) -> None:
        self.bundle, self.variant, self.fingerprint = str(bundle), variant, fingerprint
        self._encoder: BaseEncoder | None = None

    @property
    def encoder(self) -> BaseEncoder:
        """The bundle's encoder."""
        if self._encoder is None:
            options = {} if self.variant == "auto" else {"variant": self.variant}
            self._encoder = found_again({"bundle": self.bundle, "fingerprint": self.fingerprint, **options})
            self.fingerprint = self._encoder.fingerprint
        return self._encoder

    def warm_up(self) -> None:
        """Load the bundle."""
        assert self.encoder

    def _written(self, **more: Any) -> dict[str, Any]:
        about = {"bundle": self.bundle, "variant": self.variant, "fingerprint": self.fingerprint}
        return dict(default_to_dict(self, **about, **more))

    def _texts(self, documents: Any, fields: list[str], separator: str) -> list[str]:
        if not isinstance(documents, list) or not all(isinstance(one, Document) for one in documents):
            raise TypeError("documents: expected a list of Haystack's Documents; for one text use the text embedder")
        return [
            separator.join(
                [*(str(one.meta[name]) for name in fields if one.meta.get(name) is not None), one.content or ""]
            )
            for one in documents
        ]

    def _sparse(self, role: str) -> str:
        outputs = self.encoder.outputs(role)
        name = firsts(outputs).get("sparse")
        if name is None:
            raise InputError(
                f"this bundle gives no sparse vectors, but {', '.join(outputs)}; use one that does, as of SPLADE"
            )
        return name


@component
class EmbedkitTextEmbedder(_Loaded):
    """The dense vector of a question. ``bundle`` is a folder or a server's address."""

    def __init__(
        self, bundle: str, *, variant: str = "auto", dim: int | None = None, fingerprint: str | None = None
    ) -> None:
        _Loaded.__init__(self, bundle, variant=variant, fingerprint=fingerprint)
        self.dim = dim

    @component.output_types(embedding=list[float])
    def run(self, text: str) -> dict[str, Any]:
        """``embedding``."""
        if not isinstance(text, str):
            raise TypeError("text: expected a string; for documents use the document embedder")
        return {"embedding": self.encoder.encode_query(text, dim=self.dim).tolist()}

    def to_dict(self) -> dict[str, Any]:
        """What `from_dict` makes it of again."""
        return self._written(dim=self.dim)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> EmbedkitTextEmbedder:
        """The component that was written."""
        made: EmbedkitTextEmbedder = default_from_dict(cls, data)
        return made


@component
class EmbedkitDocumentEmbedder(_Loaded):
    """The dense vectors of documents: of the fields of ``meta_fields_to_embed``, then their content."""

    def __init__(
        self,
        bundle: str,
        *,
        variant: str = "auto",
        dim: int | None = None,
        meta_fields_to_embed: list[str] | None = None,
        embedding_separator: str = "\n",
        fingerprint: str | None = None,
    ) -> None:
        _Loaded.__init__(self, bundle, variant=variant, fingerprint=fingerprint)
        self.dim, self.meta_fields_to_embed = dim, list(meta_fields_to_embed or [])
        self.embedding_separator = embedding_separator

    @component.output_types(documents=list[Document])
    def run(self, documents: list[Document]) -> dict[str, Any]:
        """``documents``: new ones, with their ``embedding``."""
        texts = self._texts(documents, self.meta_fields_to_embed, self.embedding_separator)
        vectors = self.encoder.encode_document(texts, dim=self.dim).tolist()
        return {"documents": [replace(one, embedding=row) for one, row in zip(documents, vectors, strict=True)]}

    def to_dict(self) -> dict[str, Any]:
        """What `from_dict` makes it of again."""
        return self._written(
            dim=self.dim,
            meta_fields_to_embed=self.meta_fields_to_embed,
            embedding_separator=self.embedding_separator,
        )

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> EmbedkitDocumentEmbedder:
        """The component that was written."""
        made: EmbedkitDocumentEmbedder = default_from_dict(cls, data)
        return made


@component
class EmbedkitSparseTextEmbedder(_Loaded):
    """The sparse vector of a question."""

    def __init__(self, bundle: str, *, variant: str = "auto", fingerprint: str | None = None) -> None:
        _Loaded.__init__(self, bundle, variant=variant, fingerprint=fingerprint)

    @component.output_types(sparse_embedding=SparseEmbedding)
    def run(self, text: str) -> dict[str, Any]:
        """``sparse_embedding``."""
        if not isinstance(text, str):
            raise TypeError("text: expected a string; for documents use the document embedder")
        (found,) = self.encoder.encode_query([text], output=self._sparse("query"))
        return {"sparse_embedding": SparseEmbedding(found[0].tolist(), found[1].tolist())}

    def to_dict(self) -> dict[str, Any]:
        """What `from_dict` makes it of again."""
        return self._written()

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> EmbedkitSparseTextEmbedder:
        """The component that was written."""
        made: EmbedkitSparseTextEmbedder = default_from_dict(cls, data)
        return made


@component
class EmbedkitSparseDocumentEmbedder(_Loaded):
    """The sparse vectors of documents."""

    def __init__(
        self,
        bundle: str,
        *,
        variant: str = "auto",
        meta_fields_to_embed: list[str] | None = None,
        embedding_separator: str = "\n",
        fingerprint: str | None = None,
    ) -> None:
        _Loaded.__init__(self, bundle, variant=variant, fingerprint=fingerprint)
        self.meta_fields_to_embed, self.embedding_separator = list(meta_fields_to_embed or []), embedding_separator

    @component.output_types(documents=list[Document])
    def run(self, documents: list[Document]) -> dict[str, Any]:
        """``documents``: new ones, with their ``sparse_embedding``."""
        texts = self._texts(documents, self.meta_fields_to_embed, self.embedding_separator)
        vectors = self.encoder.encode_document(texts, output=self._sparse("document"))
        return {
            "documents": [
                replace(one, sparse_embedding=SparseEmbedding(indices.tolist(), values.tolist()))
                for one, (indices, values) in zip(documents, vectors, strict=True)
            ]
        }

    def to_dict(self) -> dict[str, Any]:
        """What `from_dict` makes it of again."""
        return self._written(
            meta_fields_to_embed=self.meta_fields_to_embed, embedding_separator=self.embedding_separator
        )

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> EmbedkitSparseDocumentEmbedder:
        """The component that was written."""
        made: EmbedkitSparseDocumentEmbedder = default_from_dict(cls, data)
        return made
