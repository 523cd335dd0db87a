"""Any store of embedkit as Haystack's document store."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from haystack import Document, default_from_dict, default_to_dict
from haystack.dataclasses import ByteStream, SparseEmbedding
from haystack.document_stores.errors import DuplicateDocumentError
from haystack.document_stores.types import DuplicatePolicy
from haystack.utils.filters import document_matches_filter

from embedkit.errors import InputError, OptionError
from embedkit.integrations.loading import encoder_of
from embedkit.integrations.shelf import Shelf
from embedkit.records.documents import Record
from embedkit.records.filters import F, Filter
from embedkit.stores.contract import CollectionSpec, Metric
from embedkit.stores.guarded import GuardedStore

from .filters import pushed

_MORE = "haystack:more"
"""The field of a row's metadata that holds what of a document a row has no place for, as JSON."""
_BARE = "haystack:bare"
"""That of a row whose document has no embedding, which no search finds."""


class EmbedkitDocumentStore:
    """A collection of a store, named by its URL (``qdrant://localhost:6333``, ``sqlite-vec:notes.db``) or opened before, in which case
    it cannot be written down (`to_dict`).

    With ``bundle`` it is the collection of ``embedkit ingest`` and ``embedkit search`` with this bundle, its dense vectors alone, and is
    refused to another model. Without, ``dim`` says how many numbers an embedding has (by default the first document's), and
    ``metric`` how they are compared, by default ``dot``, which keeps vectors of any length as they are.
    """

    def __init__(
        self,
        store: GuardedStore | str,
        collection: str = "documents",
        *,
        bundle: str | None = None,
        dim: int | None = None,
        metric: Metric | None = None,
    ) -> None:
        self.bundle, self.dim, self.metric = bundle, dim, metric
        self.shelf = Shelf(store, collection)
        self._spec: CollectionSpec | None = None

    def to_dict(self) -> dict[str, Any]:
        """What `from_dict` makes it of again."""
        if self.shelf.url is None:
            raise OptionError("store: an opened store cannot be written down; give its URL")
        about = {"collection": self.shelf.collection, "bundle": self.bundle, "dim": self.dim, "metric": self.metric}
        return dict(default_to_dict(self, store=self.shelf.url, **about))

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> EmbedkitDocumentStore:
        """The store that was written."""
        made: EmbedkitDocumentStore = default_from_dict(cls, data)
        return made

    def count_documents(self) -> int:
        """How many documents there are."""
        return 0 if self.shelf.rows is None else self.shelf.rows.count()

    def count_documents_by_filter(self, filters: dict[str, Any]) -> int:
        """How many satisfy the filter."""
        return sum(1 for _ in self._matching(filters))

    def filter_documents(self, filters: dict[str, Any] | None = None) -> list[Document]:
        """The documents that satisfy the filter (None: all), with their embeddings."""
        ids = [row.id for row in self._matching(filters)]
        return [document_of(row) for row in self.shelf.get(ids, with_vectors=True)]

    def write_documents(self, documents: list[Document], policy: DuplicatePolicy = DuplicatePolicy.NONE) -> int:
        """Write documents, and give how many were; of an id that is there, or twice among them, ``policy`` says what is done: by
        default `DuplicateDocumentError`, before anything is written."""
        if not isinstance(documents, list) or not all(isinstance(one, Document) for one in documents):
            raise ValueError("documents: expected a list of Haystack's Documents")
        if policy not in (DuplicatePolicy.OVERWRITE, DuplicatePolicy.SKIP):
            known = {row.id for row in self.shelf.get([one.id for one in documents])}
            for one in documents:
                if one.id in known:
                    raise DuplicateDocumentError(f"the id {one.id!r} is there already, or twice among these")
                known.add(one.id)
        elif policy == DuplicatePolicy.SKIP:
            known = {row.id for row in self.shelf.get([one.id for one in documents])}
            fresh: dict[str, Document] = {}
            for one in documents:
                if one.id not in known:
                    fresh.setdefault(one.id, one)
            documents = list(fresh.values())
        if documents:
            self._write(documents)
        return len(documents)

    def delete_documents(self, document_ids: list[str]) -> None:
        """Delete those that are there."""
        self.shelf.delete(document_ids)

    def delete_all_documents(self) -> None:
        """Delete all."""
        self.shelf.drop()

    def delete_by_filter(self, filters: dict[str, Any]) -> int:
        """Delete those that satisfy the filter, and give how many."""
        ids = [row.id for row in self._matching(filters)]
        self.shelf.delete(ids)
        return len(ids)

    def update_by_filter(self, filters: dict[str, Any], meta: dict[str, Any]) -> int:
        """Put ``meta`` into the metadata of those that satisfy the filter, and give how many."""
        found = self.filter_documents(filters)
        if found:
            self._write([replace(one, meta={**one.meta, **meta}) for one in found])
        return len(found)

    def nearest(self, embedding: list[float], filters: dict[str, Any] | None, k: int) -> list[Document]:
        """The ``k`` documents nearest to a vector that satisfy the filter, with their scores, best first."""
        rows = self.shelf.rows
        if rows is None:
            return []
        asked = np.asarray([embedding], dtype=np.float32)
        condition = pushed(filters) if filters else None
        embedded = ~F(_BARE).exists()
        if not filters or condition is not None:
            hits = rows.query(asked, k, filter=embedded if condition is None else condition & embedded)[0]
            return self._with_scores([(hit.id, hit.score) for hit in hits])
        most = rows.count()
        size, kept = 4 * k, []
        while True:  # more and more of the nearest, until enough of them satisfy what a store cannot be asked
            hits = rows.query(asked, size, filter=embedded)[0]
            kept = [
                one
                for one in self._with_scores([(hit.id, hit.score) for hit in hits])
                if document_matches_filter(filters, one)
            ]
            if len(kept) >= k or size >= most:
                return kept[:k]
            size *= 4

    def close(self) -> None:
        """Close the store, if it was opened here."""
        self.shelf.close()

    def _with_scores(self, found: list[tuple[str, float]]) -> list[Document]:
        scores = dict(found)
        return [
            replace(document_of(row), score=scores[row.id]) for row in self.shelf.get(list(scores), with_vectors=True)
        ]

    def _matching(self, filters: dict[str, Any] | None) -> Iterator[Record]:
        """The rows whose documents satisfy the filter, without vectors."""
        if self.shelf.rows is None:
            return iter(())
        condition: Filter | None = pushed(filters) if filters else None
        rows = list(self.shelf.rows.records(condition))
        if filters and condition is None:
            rows = [row for row in rows if document_matches_filter(filters, document_of(row))]
        return iter(rows)

    def _write(self, documents: list[Document]) -> None:
        spec = self._made(documents)
        vectors = np.zeros((len(documents), spec.dim), dtype=np.float32)
        metadata = []
        for row, one in zip(vectors, documents, strict=True):
            more, about = _more(one), dict(one.meta)
            if one.embedding is None:
                row[0] = float(spec.metric == "cosine")  # which no search finds; a cosine needs some direction
                about[_BARE] = True
            elif len(one.embedding) != spec.dim:
                raise InputError(
                    f"document {one.id!r}: expected an embedding of {spec.dim} numbers, found {len(one.embedding)}"
                )
            else:
                row[:] = one.embedding
            metadata.append({**about, _MORE: json.dumps(more)} if more else about)
        rows = self.shelf.made(spec)
        self.shelf.write(
            rows,
            [one.id for one in documents],
            [one.content or "" for one in documents],
            metadata,
            {"vectors": vectors},
        )

    def _made(self, documents: list[Document]) -> CollectionSpec:
        """The collection, as it is or is to be."""
        if self._spec is None:
            name, info = self.shelf.collection, self.shelf.rows.info if self.shelf.rows else None
            if self.bundle is not None:
                encoder = encoder_of(self.bundle)
                self._spec = CollectionSpec(
                    name, self.dim or encoder.dim, self.metric or encoder.metric, encoder.fingerprint
                )
            elif info is not None:
                self._spec = CollectionSpec(
                    name, info.dim, info.metric, info.fingerprint, info.sparse, info.multivector
                )
            else:
                dim = self.dim or next((len(one.embedding) for one in documents if one.embedding), 0)
                if not dim:
                    raise OptionError(
                        "dim: no document has an embedding; say how many numbers one has, or give the bundle"
                    )
                self._spec = CollectionSpec(name, dim, self.metric or "dot", "")
        return self._spec


def document_of(row: Record) -> Document:
    """The document that a row is."""
    meta = dict(row.metadata)
    bare, more = meta.pop(_BARE, False), json.loads(str(meta.pop(_MORE, "{}")))
    blob, sparse = more.get("blob"), more.get("sparse")
    return Document(
        id=row.id,
        content=None if more.get("empty") else row.text,
        meta=meta,
        embedding=None if bare or row.vector is None else row.vector.tolist(),
        blob=None if blob is None else ByteStream.from_dict(blob),
        sparse_embedding=None if sparse is None else SparseEmbedding.from_dict(sparse),
    )


def _more(document: Document) -> dict[str, Any]:
    """What of a document a row has no place for."""
    more: dict[str, Any] = {} if document.content is not None else {"empty": True}
    if document.blob is not None:
        more["blob"] = document.blob.to_dict()
    if document.sparse_embedding is not None:
        more["sparse"] = document.sparse_embedding.to_dict()
    return more
