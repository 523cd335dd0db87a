"""Chroma's functions that ask a server."""

from __future__ import annotations

import numpy as np
import pytest

from embedkit import Encoder
from helpers.clients import KEY
from helpers.served import served

functions = pytest.importorskip("chromadb.utils.embedding_functions")

TEXTS = ["tea", "rain in spring", "x" * 200]


def test_by_openai(base: str, tiny: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("openai")
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    function = functions.OpenAIEmbeddingFunction(model_name="tiny", api_base=base)
    assert np.array(function(TEXTS), np.float32).tobytes() == tiny.encode(TEXTS).tobytes()


def test_by_the_server_of_hugging_face(tiny: Encoder) -> None:
    with served({"tiny": tiny}) as server:  # it knows no key
        function = functions.HuggingFaceEmbeddingServer(url=f"{server.url}/embed")
        assert np.array(function(TEXTS), np.float32).tobytes() == tiny.encode(TEXTS).tobytes()
