"""Cohere's client, both versions of its routes."""

from __future__ import annotations

import numpy as np
import pytest

from embedkit import Encoder, Reranker
from helpers.clients import KEY
from helpers.served import Served

cohere = pytest.importorskip("cohere")

DOCUMENTS = ["tea", "coffee and milk", "x" * 90]


@pytest.mark.parametrize("version", ["Client", "ClientV2"])
def test_scores_in_their_order(version: str, server: Served, encoders: dict[str, Encoder]) -> None:
    client = getattr(cohere, version)(api_key=KEY, base_url=server.url)
    answer = client.rerank(model="rank", query="tea", documents=DOCUMENTS, top_n=2)
    expected = Reranker(encoders["rank"]).score([("tea", one) for one in DOCUMENTS])
    order = np.argsort(-expected, kind="stable")[:2]
    assert [row.index for row in answer.results] == order.tolist()
    assert np.allclose([row.relevance_score for row in answer.results], expected[order], atol=1e-6)


def test_vectors_of_roles_and_kinds(server: Served, tiny: Encoder) -> None:
    client = cohere.ClientV2(api_key=KEY, base_url=server.url)
    texts = ["tea", "rain in spring"]
    for kind, expected in (
        ("search_query", tiny.encode_query(texts)),
        ("search_document", tiny.encode_document(texts)),
        ("classification", tiny.encode(texts)),
    ):
        answer = client.embed(model="tiny", texts=texts, input_type=kind, embedding_types=["float"])
        assert np.array(answer.embeddings.float_, np.float32).tobytes() == expected.tobytes()
