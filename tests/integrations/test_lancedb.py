"""LanceDB's own client with a bundle."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("lancedb")

import lancedb
from lancedb.embeddings import get_registry
from lancedb.pydantic import LanceModel, Vector

from embedkit import BundleError, Encoder, Reranker
from embedkit.integrations.lancedb import EmbedkitEmbeddingFunction, EmbedkitReranker
from embedkit.testing.tiny import tiny_bundle
from helpers.small_bundles import DIM, eighths, with_logits

TEXTS = [f"text {i}" for i in range(20)]


def test_a_table(tmp_path):
    place = tiny_bundle(tmp_path / "b", prefixes={"query": "q: ", "document": "d: "})
    encoder = Encoder.load(place, variant="fp32", threads=1)
    function = get_registry().get("embedkit").create(bundle=str(place), variant="fp32")
    assert (function.ndims(), function.max_retries) == (8, 0)

    class Row(LanceModel):
        text: str = function.SourceField()
        vector: Vector(function.ndims()) = function.VectorField()  # type: ignore[valid-type]

    database = lancedb.connect(str(tmp_path / "index"))
    table = database.create_table("docs", schema=Row)
    table.add([{"text": text} for text in TEXTS])
    stored = np.array(table.to_arrow()["vector"].to_pylist(), np.float32)
    assert np.array_equal(stored, encoder.encode_document(TEXTS))
    again = lancedb.connect(str(tmp_path / "index")).open_table("docs")
    found = again.search("text 7").limit(3).to_list()
    distances = ((encoder.encode_document(TEXTS) - encoder.encode_query("text 7")) ** 2).sum(1)
    assert found[0]["text"] == TEXTS[int(np.argmin(distances))]
    other = EmbedkitEmbeddingFunction.create(
        bundle=str(tiny_bundle(tmp_path / "o", seed=1)), fingerprint=encoder.fingerprint
    )
    with pytest.raises(BundleError, match="written with another model"):
        other.ndims()


def test_a_reranker(tmp_path):
    reranker = Reranker.load(with_logits(tmp_path / "b", eighths(DIM, 1), pair=True))
    texts = ["a boat", "bread and flour", "rain", "bread"]
    table = lancedb.connect(str(tmp_path / "index")).create_table(
        "docs", [{"text": text, "vector": [float(i), 1.0]} for i, text in enumerate(texts)]
    )
    expected = [(one.document, pytest.approx(one.score, abs=1e-4)) for one in reranker.rank("bread", texts)]
    found = table.search([0.0, 1.0]).rerank(EmbedkitReranker(reranker), query_string="bread").to_list()
    assert [(row["text"], row["_relevance_score"]) for row in found] == expected
    table.create_fts_index("text")
    words = table.search("bread", query_type="fts").rerank(EmbedkitReranker(reranker)).to_list()
    assert {row["text"] for row in words} == {"bread and flour", "bread"}
    assert "_score" not in words[0]
    mixed = (
        table.search(query_type="hybrid").vector([0.0, 1.0]).text("bread").rerank(EmbedkitReranker(reranker)).to_list()
    )
    assert [(row["text"], row["_relevance_score"]) for row in mixed] == expected
