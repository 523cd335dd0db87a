"""Chroma's own client with a bundle."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

pytest.importorskip("chromadb")

import chromadb
from chromadb.config import Settings

from embedkit import BundleError, Encoder
from embedkit.integrations.chroma import EmbedkitEmbeddingFunction
from embedkit.testing.tiny import tiny_bundle


def test_documents_and_questions_have_their_templates_and_a_collection_remembers(tmp_path):
    place = tiny_bundle(tmp_path / "b", prefixes={"query": "q: ", "document": "d: "})
    encoder = Encoder.load(place, variant="fp32", threads=1)
    settings = Settings(anonymized_telemetry=False)
    client = chromadb.PersistentClient(str(tmp_path / "index"), settings)
    made = client.create_collection("docs", embedding_function=EmbedkitEmbeddingFunction(place, variant="fp32"))
    texts = [f"text {i}" for i in range(20)]
    made.add(ids=texts, documents=texts)
    stored = made.get(ids=texts, include=["embeddings"])["embeddings"]
    assert np.allclose(stored, encoder.encode_document(texts), atol=1e-6)  # Chroma makes them of unit length again
    again = client.get_collection("docs")
    found = again.query(query_texts=["text 7"], n_results=3)
    scores = encoder.encode_document(texts) @ encoder.encode_query("text 7")
    assert found["ids"][0][0] == texts[int(np.argmax(scores))]
    assert found["distances"][0][0] == pytest.approx(1 - scores.max(), abs=1e-5), "by cosine, as the model is"
    shutil.rmtree(place)
    tiny_bundle(place, seed=1)
    with pytest.raises(Exception, match="written with another model") as error:
        client.get_collection("docs").query(query_texts=["text 7"])
    assert isinstance(error.value, BundleError | ValueError)


def test_what_it_says_of_itself(encoder):
    function = EmbedkitEmbeddingFunction(encoder, dim=4)
    assert (function.name(), function.default_space(), function.is_legacy()) == ("embedkit", "cosine", False)
    assert set(function.supported_spaces()) == {"cosine", "l2", "ip"}
    config = function.get_config()
    assert len(EmbedkitEmbeddingFunction.build_from_config(config)(["a"])[0]) == 4
    function.validate_config_update(config, config)
    with pytest.raises(ValueError, match="another model"):
        function.validate_config_update(config, config | {"fingerprint": "0" * 64})
