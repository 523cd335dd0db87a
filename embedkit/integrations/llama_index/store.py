"""Any store of embedkit as LlamaIndex's vector store."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.schema import BaseNode, MetadataMode, NodeRelationship, RelatedNodeInfo, TextNode
from llama_index.core.vector_stores.types import (
    BasePydanticVectorStore,
    MetadataFilters,
    VectorStoreQuery,
    VectorStoreQueryMode,
    VectorStoreQueryResult,
)
from llama_index.core.vector_stores.utils import metadata_dict_to_node, node_to_metadata_dict

from embedkit.errors import InputError, OptionError
from embedkit.ingestion.pipeline.columns import Columns
from embedkit.integrations.shelf import Shelf
from embedkit.records.documents import Hit, Record
from embedkit.records.filters import F, Filter
from embedkit.retrieval.mmr import diverse
from embedkit.retrieval.searching import search
from embedkit.stores.contract import CollectionSpec, Metric
from embedkit.stores.guarded import GuardedStore
from embedkit.vectors.similarity import similarity

from .embeddings import EmbedkitEmbedding
from .filters import condition_of

_NODE = "llama_index:node"
_REF = "ref_doc_id"
_ALREADY = ("_node_content", "_node_type", "document_id", "doc_id", _REF)
_FETCHED = 4


class EmbedkitVectorStore(BasePydanticVectorStore):
    """A collection of a store, named by its URL or opened before. Texts and metadata are kept with the vectors.

    With ``embedding``, an `EmbedkitEmbedding`, the collection has the bundle's fingerprint and all kinds of its vectors, and the modes
    SPARSE and HYBRID ask those (HYBRID by ``alpha``, the weight of the dense ones). Without, it has the dense vectors that the nodes
    bring. The modes are DEFAULT, MMR, SPARSE and HYBRID.
    """

    stores_text: bool = True
    flat_metadata: bool = False
    collection: str = "llama_index"
    metric: str = "cosine"
    _shelf: Shelf = PrivateAttr()
    _embedding: EmbedkitEmbedding | None = PrivateAttr()

    def __init__(
        self,
        store: GuardedStore | str,
        collection: str = "llama_index",
        *,
        embedding: EmbedkitEmbedding | None = None,
        metric: Metric | None = None,
    ) -> None:
        chosen = metric or ("cosine" if embedding is None else embedding.encoder.metric)
        super().__init__(collection=collection, metric=chosen)
        self._shelf, self._embedding = Shelf(store, collection), embedding

    @classmethod
    def class_name(cls) -> str:
        """The name under which it is written down."""
        return "EmbedkitVectorStore"

    @property
    def client(self) -> Any:
        """The store."""
        return self._shelf.store

    def add(self, nodes: Sequence[BaseNode], **kwargs: Any) -> list[str]:
        """Write nodes, which have their embeddings, and give their ids; of an id that is there the row is replaced."""
        if not nodes:
            return []
        texts = [node.get_content(metadata_mode=MetadataMode.NONE) for node in nodes]
        vectors = np.asarray([node.get_embedding() for node in nodes], dtype=np.float32)
        columns: dict[str, Any] = {"vectors": vectors}
        if self._embedding is None:
            spec = CollectionSpec(self.collection, vectors.shape[1], self.metric, "")  # type: ignore[arg-type]
        else:
            encoder, rows = self._embedding.encoder, self._shelf.rows
            kept = Columns.of(encoder, "document", None, None if rows is None else rows.info)
            spec = kept.spec(self.collection, self.metric)  # type: ignore[arg-type]
            others = [name for kind, name in kept.names.items() if kind != "dense"]
            if others:
                given = [node.get_content(metadata_mode=MetadataMode.EMBED) for node in nodes]
                values = encoder.encode_outputs(given, role="document", outputs=others)
                if "dense" in kept.names:
                    values[kept.names["dense"]] = vectors
                columns = kept.columns(values)
        ids = [node.node_id for node in nodes]
        self._shelf.write(self._shelf.made(spec), ids, texts, [_metadata(node) for node in nodes], columns)
        return ids

    def get_nodes(self, node_ids: list[str] | None = None, filters: MetadataFilters | None = None) -> list[BaseNode]:
        """The nodes with these ids (None: any) that satisfy the filter, with their embeddings."""
        ids = self._ids(node_ids, condition_of(filters))
        found = []
        for row in self._shelf.get(ids, with_vectors=True):
            node = node_of(row)
            node.embedding = None if row.vector is None else row.vector.tolist()
            found.append(node)
        return found

    def delete(self, ref_doc_id: str, **delete_kwargs: Any) -> None:
        """Delete the nodes of a document."""
        self._shelf.delete(self._ids(None, F(_REF) == ref_doc_id))

    def delete_nodes(
        self, node_ids: list[str] | None = None, filters: MetadataFilters | None = None, **delete_kwargs: Any
    ) -> None:
        """Delete the nodes with these ids (None: any) that satisfy the filter; at least one of both is given."""
        condition = condition_of(filters)
        if node_ids is None and condition is None:
            raise OptionError("delete_nodes: expected node_ids or filters, found neither; clear() deletes all")
        self._shelf.delete(self._ids(node_ids, condition))

    def clear(self) -> None:
        """Delete all."""
        self._shelf.drop()

    def query(self, query: VectorStoreQuery, **kwargs: Any) -> VectorStoreQueryResult:
        """The nearest nodes, best first, with their scores."""
        condition = condition_of(query.filters)
        if query.doc_ids:
            condition = _and(condition, F(_REF).is_in(query.doc_ids))
        rows = self._shelf.rows
        hits = [] if rows is None else self._hits(query, condition, kwargs)
        if query.node_ids:
            hits = [hit for hit in hits if hit.id in query.node_ids]
        hits = hits[: query.similarity_top_k]
        return VectorStoreQueryResult(
            nodes=[node_of(hit) for hit in hits], similarities=[hit.score for hit in hits], ids=[hit.id for hit in hits]
        )

    def _hits(self, query: VectorStoreQuery, condition: Filter | None, options: dict[str, Any]) -> list[Hit]:
        rows, mode, k = self._shelf.rows, query.mode, query.similarity_top_k
        assert rows is not None
        if self._embedding is not None:
            rows.require_fingerprint(self._embedding.encoder.fingerprint)
        k = max(k, rows.count()) if query.node_ids else k  # those ids are no field of the rows: all are compared
        if mode in (VectorStoreQueryMode.SPARSE, VectorStoreQueryMode.HYBRID):
            return self._by_text(query, condition, k)
        if mode not in (VectorStoreQueryMode.DEFAULT, VectorStoreQueryMode.MMR):
            raise OptionError(f"mode: expected DEFAULT, MMR, SPARSE or HYBRID, found {mode.value}")
        if query.query_embedding is None:
            raise InputError("query_embedding: expected a vector, found None")
        asked = np.asarray([query.query_embedding], dtype=np.float32)
        if mode == VectorStoreQueryMode.DEFAULT:
            return rows.query(asked, k, filter=condition)[0]
        threshold = query.mmr_threshold if query.mmr_threshold is not None else options.get("mmr_threshold", 0.5)
        fetched = options.get("mmr_prefetch_k") or int(options.get("mmr_prefetch_factor", _FETCHED) * k)
        hits = rows.query(asked, max(k, fetched), filter=condition)[0]
        vectors = {row.id: row.vector for row in self._shelf.get([hit.id for hit in hits], with_vectors=True)}
        if not hits:
            return []
        stacked = np.stack([vectors[hit.id] for hit in hits])  # type: ignore[arg-type, misc]
        near = similarity(stacked, stacked, fn=rows.info.metric)
        return [hits[i] for i in diverse(np.array([hit.score for hit in hits]), near, 1.0 - threshold, k)]

    def _by_text(self, query: VectorStoreQuery, condition: Filter | None, k: int) -> list[Hit]:
        """By what the bundle makes of the question itself."""
        if self._embedding is None or not query.query_str:
            raise OptionError(
                f"mode {query.mode.value}: needs the question's text, and an EmbedkitEmbedding with the store"
            )
        alpha = 0.5 if query.alpha is None else float(query.alpha)
        dense = 0.0 if query.mode == VectorStoreQueryMode.SPARSE else alpha
        weights = {"dense": dense, "sparse": 1.0 - dense}
        found: list[Hit] = search(
            query.query_str,
            self._embedding.encoder,
            self._shelf.store,
            collection=self.collection,
            k=query.hybrid_top_k or k,
            filter=condition,
            hybrid="minmax",
            weights=weights,
        )
        return found

    def _ids(self, ids: Sequence[str] | None, condition: Filter | None) -> list[str]:
        """The ids of rows that are among ``ids`` (None: all) and satisfy the filter."""
        rows = self._shelf.rows
        if rows is None:
            return []
        if condition is None and ids is not None:
            return list(ids)
        found = [row.id for row in rows.records(condition)]
        return found if ids is None else [one for one in found if one in set(ids)]


def node_of(row: Record | Hit) -> BaseNode:
    """The node that a row is; of a row that another program wrote a node of its text."""
    metadata = dict(row.metadata)
    kept = metadata.pop(_NODE, None)
    if kept is not None:
        return metadata_dict_to_node(json.loads(str(kept)), text=row.text)
    node = TextNode(id_=row.id, text=row.text, metadata={k: v for k, v in metadata.items() if k != _REF})
    source = metadata.get("source")  # of a chunk that `embedkit ingest` made
    if isinstance(source, str):
        node.relationships[NodeRelationship.SOURCE] = RelatedNodeInfo(node_id=source)
    return node


def _metadata(node: BaseNode) -> dict[str, Any]:
    """What is filtered by, and the whole node without its text."""
    whole = node_to_metadata_dict(node, remove_text=True)
    about = {name: value for name, value in whole.items() if name not in _ALREADY}
    return {**about, _REF: node.ref_doc_id, _NODE: json.dumps({name: whole[name] for name in _ALREADY[:2]})}


def _and(one: Filter | None, other: Filter) -> Filter:
    return other if one is None else one & other
