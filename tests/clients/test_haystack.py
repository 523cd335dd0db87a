"""Haystack's embedders of OpenAI's routes."""

from __future__ import annotations

import numpy as np
import pytest

from embedkit import Encoder
from helpers.clients import KEY

embedders = pytest.importorskip("haystack.components.embedders")

TEXTS = ["tea", "rain in spring", "x" * 200]


def test_the_vectors_of_encode(base: str, tiny: Encoder) -> None:
    from haystack import Document
    from haystack.utils import Secret

    options = {"api_key": Secret.from_token(KEY), "model": "tiny", "api_base_url": base, "max_retries": 0}
    documents = embedders.OpenAIDocumentEmbedder(raise_on_failure=True, progress_bar=False, **options)
    found = documents.run([Document(content=text) for text in TEXTS])["documents"]
    assert np.array([one.embedding for one in found], np.float32).tobytes() == tiny.encode(TEXTS).tobytes()
    query = embedders.OpenAITextEmbedder(**options).run("tea")
    assert np.array(query["embedding"], np.float32).tobytes() == tiny.encode(["tea"])[0].tobytes()
