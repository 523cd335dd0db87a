"""LangChain's OpenAIEmbeddings, which by default sends tokens of another model's tokenizer."""

from __future__ import annotations

import numpy as np
import pytest

from embedkit import Encoder
from helpers.clients import KEY, TEXTS

langchain_openai = pytest.importorskip("langchain_openai")


def embeddings(base: str, **more):
    return langchain_openai.OpenAIEmbeddings(base_url=base, api_key=KEY, model="tiny", max_retries=0, **more)


def test_with_texts_it_gives_the_vectors_of_encode(base: str, tiny: Encoder) -> None:
    client = embeddings(base, check_embedding_ctx_length=False)
    assert np.array(client.embed_documents(TEXTS), np.float32).tobytes() == tiny.encode(TEXTS).tobytes()
    assert np.array(client.embed_query("tea"), np.float32).tobytes() == tiny.encode(["tea"])[0].tobytes()


def test_by_default_the_error_says_what_to_set(base: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tiktoken = pytest.importorskip("tiktoken")
    bytes_alone = tiktoken.Encoding(
        "cl100k_base", pat_str=r"[\s\S]", mergeable_ranks={bytes([i]): i for i in range(256)}, special_tokens={}
    )  # the real one is fetched from a host
    monkeypatch.setattr(tiktoken, "get_encoding", lambda name: bytes_alone)
    monkeypatch.setattr(tiktoken, "encoding_for_model", lambda name: bytes_alone)
    with pytest.raises(Exception, match="check_embedding_ctx_length=False"):
        embeddings(base).embed_documents(["tea"])
