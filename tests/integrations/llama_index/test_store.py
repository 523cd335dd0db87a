"""A store beneath LlamaIndex's index, compared with its own in memory."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

pytest.importorskip("llama_index.core")

from llama_index.core import StorageContext, VectorStoreIndex
from llama_index.core.schema import NodeRelationship, RelatedNodeInfo, TextNode
from llama_index.core.vector_stores import SimpleVectorStore
from llama_index.core.vector_stores.types import MetadataFilter, MetadataFilters, VectorStoreQuery, VectorStoreQueryMode

from embedkit import CollectionMismatchError, Encoder, OptionError, ingest, open_store, search
from embedkit.integrations.llama_index import EmbedkitEmbedding, EmbedkitVectorStore
from embedkit.testing.tiny import tiny_bundle

pytestmark = pytest.mark.usefixtures("entry_points")


@pytest.fixture(scope="module")
def embedding(tmp_path_factory) -> EmbedkitEmbedding:
    place = tiny_bundle(tmp_path_factory.mktemp("llama") / "b", kinds=["dense", "sparse"])
    return EmbedkitEmbedding(Encoder.load(place, variant="fp32", threads=1, on_truncate="ignore"))


@pytest.fixture
def store(embedding) -> Iterator[EmbedkitVectorStore]:
    with open_store("memory:llama") as opened:
        opened.drop("docs")
        yield EmbedkitVectorStore(opened, "docs", embedding=embedding)


def nodes(embedding: EmbedkitEmbedding) -> list[TextNode]:
    return embedding(
        [
            TextNode(
                id_=f"n{i}",
                text=f"text {i}",
                metadata={"number": i},
                excluded_embed_metadata_keys=["number"],
                relationships={NodeRelationship.SOURCE: RelatedNodeInfo(node_id=f"doc{i % 3}")},
            )
            for i in range(20)
        ]
    )


def asked(embedding, **options) -> VectorStoreQuery:
    given = {"query_str": "text 7", "query_embedding": embedding.get_query_embedding("text 7"), "similarity_top_k": 5}
    return VectorStoreQuery(**given | options)


FILTERS = MetadataFilters(filters=[MetadataFilter(key="number", operator=">=", value=10)])


def test_as_llama_index_own_store(store, embedding):
    own, given = SimpleVectorStore(), nodes(embedding)
    assert store.query(asked(embedding)).ids == []
    assert store.add(given) == own.add(given) == [f"n{i}" for i in range(20)]
    for options in ({}, {"filters": FILTERS}, {"similarity_top_k": 99}, {"node_ids": ["n3", "n4"]}):
        found, expected = store.query(asked(embedding, **options)), own.query(asked(embedding, **options))
        assert found.similarities == pytest.approx(expected.similarities, abs=1e-6)
        assert set(found.ids) == set(expected.ids)
    assert store.query(asked(embedding)).nodes[0] == given[7].model_copy(update={"embedding": None})


def test_nodes_in_and_out(store, embedding):
    given = nodes(embedding)
    store.add(given)
    (found,) = store.get_nodes(["n7"])
    assert found == given[7]
    assert [node.node_id for node in store.get_nodes(filters=FILTERS)] == [f"n{i}" for i in range(10, 20)]
    store.delete("doc0")
    assert len(store.get_nodes()) == 13
    store.delete_nodes(["n1", "n10"], FILTERS)
    assert {"n1"} == {"n1", "n10"} & {node.node_id for node in store.get_nodes()}
    with pytest.raises(OptionError, match="neither"):
        store.delete_nodes()
    store.clear()
    assert store.get_nodes() == []


def test_modes(store, embedding):
    store.add(nodes(embedding))
    sparse = store.query(asked(embedding, mode=VectorStoreQueryMode.SPARSE))
    options = {"hybrid": "minmax", "weights": {"dense": 0.0, "sparse": 1.0}, "k": 5}
    assert sparse.ids == [
        hit.id for hit in search("text 7", embedding.encoder, store.client, collection="docs", **options)
    ]
    hybrid = store.query(asked(embedding, mode=VectorStoreQueryMode.HYBRID, alpha=0.3))
    options["weights"] = {"dense": 0.3, "sparse": 0.7}
    assert hybrid.ids == [
        hit.id for hit in search("text 7", embedding.encoder, store.client, collection="docs", **options)
    ]
    near = store.query(asked(embedding)).ids
    assert store.query(asked(embedding, mode=VectorStoreQueryMode.MMR, mmr_threshold=1.0)).ids == near
    spread = store.query(asked(embedding, mode=VectorStoreQueryMode.MMR, mmr_threshold=0.0)).ids
    assert (spread[0], spread != near) == (near[0], True)
    with pytest.raises(OptionError, match="mode: expected DEFAULT"):
        store.query(asked(embedding, mode=VectorStoreQueryMode.SVM))


def test_beneath_an_index(store, embedding):
    context = StorageContext.from_defaults(vector_store=store)
    index = VectorStoreIndex(nodes(embedding), storage_context=context, embed_model=embedding)
    found = index.as_retriever(similarity_top_k=1).retrieve("text 7")
    assert found[0].node.get_content() == "text 7"
    again = VectorStoreIndex.from_vector_store(store, embed_model=embedding)
    assert (
        again.as_retriever(similarity_top_k=1, filters=FILTERS).retrieve("text 12")[0].node.get_content() == "text 12"
    )


def test_rows_that_ingest_wrote(store, embedding, tmp_path):
    ingest(
        [{"id": str(i), "text": f"text {i}", "number": i} for i in range(9)],
        embedding.encoder,
        store.client,
        collection="docs",
    )
    found = store.query(asked(embedding, similarity_top_k=1))
    assert (found.nodes[0].get_content(), found.nodes[0].metadata) == ("text 7", {"number": 7})
    other = EmbedkitEmbedding(tiny_bundle(tmp_path / "b", seed=1, kinds=["dense", "sparse"]))
    with pytest.raises(CollectionMismatchError, match="another model"):
        EmbedkitVectorStore(store.client, "docs", embedding=other).add(nodes(other))
    with pytest.raises(CollectionMismatchError, match="another model"):
        EmbedkitVectorStore(store.client, "docs", embedding=other).query(asked(other))
