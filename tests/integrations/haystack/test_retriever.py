"""A question through embedder and retriever."""

from __future__ import annotations

import pytest

pytest.importorskip("haystack")
pytest.importorskip("sqlite_vec")

from haystack import Document, Pipeline

from embedkit import InputError
from embedkit.integrations.haystack import (
    EmbedkitDocumentEmbedder,
    EmbedkitDocumentStore,
    EmbedkitEmbeddingRetriever,
    EmbedkitTextEmbedder,
)

pytestmark = pytest.mark.usefixtures("entry_points")
FILTERS = {"field": "meta.number", "operator": ">=", "value": 10}


def test_a_pipeline(tmp_path, bundle):
    store = EmbedkitDocumentStore(f"sqlite-vec:{tmp_path}/index.db", bundle=str(bundle))
    documents = [Document(content=f"text {i}", meta={"number": i}) for i in range(20)]
    store.write_documents(EmbedkitDocumentEmbedder(str(bundle)).run(documents)["documents"])
    pipeline = Pipeline()
    pipeline.add_component("embedder", EmbedkitTextEmbedder(str(bundle)))
    pipeline.add_component("retriever", EmbedkitEmbeddingRetriever(document_store=store, top_k=3))
    pipeline.connect("embedder.embedding", "retriever.query_embedding")
    found = pipeline.run({"embedder": {"text": "text 7"}})["retriever"]["documents"]
    assert found[0].content == "text 7"
    assert len(found) == 3
    found = pipeline.run({"embedder": {"text": "text 7"}, "retriever": {"filters": FILTERS}})["retriever"]["documents"]
    assert all(one.meta["number"] >= 10 for one in found)
    again = EmbedkitEmbeddingRetriever.from_dict(
        EmbedkitEmbeddingRetriever(document_store=store, filters=FILTERS).to_dict()
    )
    assert again.filters == FILTERS
    assert again.document_store.count_documents() == 20
    with pytest.raises(InputError, match="document_store: expected"):
        EmbedkitEmbeddingRetriever(document_store=7)
