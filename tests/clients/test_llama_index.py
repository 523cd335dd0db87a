"""LlamaIndex: its client of OpenAI's routes, and that of text-embeddings-inference, which never looks at a status."""

from __future__ import annotations

import numpy as np
import pytest

from embedkit import Encoder
from helpers.clients import KEY
from helpers.served import Served

TEXTS = ["tea", "rain in spring", "x" * 200]


def test_by_openai(base: str, tiny: Encoder) -> None:
    module = pytest.importorskip("llama_index.embeddings.openai")
    client = module.OpenAIEmbedding(model_name="tiny", api_base=base, api_key=KEY, max_retries=0)
    assert np.array(client.get_text_embedding_batch(TEXTS), np.float32).tobytes() == tiny.encode(TEXTS).tobytes()
    assert np.array(client.get_query_embedding("tea"), np.float32).tobytes() == tiny.encode(["tea"])[0].tobytes()


def test_by_text_embeddings_inference(server: Served, tiny: Encoder) -> None:
    module = pytest.importorskip("llama_index.embeddings.text_embeddings_inference")
    client = module.TextEmbeddingsInference(model_name="tiny", base_url=server.url, auth_token=KEY)
    assert np.array(client.get_text_embedding_batch(TEXTS), np.float32).tobytes() == tiny.encode(TEXTS).tobytes()
