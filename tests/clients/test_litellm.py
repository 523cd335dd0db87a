"""LiteLLM, by each of the names under which it reaches a server of this kind."""

from __future__ import annotations

import os

import numpy as np
import pytest

from embedkit import Encoder, Reranker
from helpers.clients import KEY, TEXTS
from helpers.served import Served

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # else it is fetched at import
litellm = pytest.importorskip("litellm")

DOCUMENTS = ["tea", "coffee and milk", "x" * 90, ""]


@pytest.mark.parametrize("prefix", ["openai", "hosted_vllm", "infinity"])
def test_the_vectors_of_encode(prefix: str, server: Served, base: str, tiny: Encoder) -> None:
    texts = TEXTS if prefix != "infinity" else [text for text in TEXTS if text]
    answer = litellm.embedding(model=f"{prefix}/tiny", input=texts, api_base=base, api_key=KEY)
    found = np.array([row["embedding"] for row in answer.data], np.float32)
    assert found.tobytes() == tiny.encode(texts).tobytes()


@pytest.mark.parametrize("prefix", ["hosted_vllm", "infinity", "jina_ai", "huggingface", "cohere"])
def test_the_scores_of_a_reranker(prefix: str, server: Served, encoders: dict[str, Encoder]) -> None:
    where = f"{server.url}/v1/rerank" if prefix in ("jina_ai", "hosted_vllm") else server.url
    where = f"{server.url}/v2/rerank" if prefix == "cohere" else where
    more = (
        {"return_documents": False} if prefix == "infinity" else {}
    )  # it expects texts where all others expect objects
    answer = litellm.rerank(
        model=f"{prefix}/rank", query="tea", documents=DOCUMENTS, top_n=4, api_base=where, api_key=KEY, **more
    )
    expected = Reranker(encoders["rank"]).score([("tea", one) for one in DOCUMENTS])
    found = {row["index"]: row["relevance_score"] for row in answer.results}
    assert np.allclose([found[i] for i in range(4)], expected, atol=1e-6)
