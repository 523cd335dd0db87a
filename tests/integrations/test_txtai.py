"""txtai by a bundle."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("txtai")

from txtai import Embeddings

from embedkit import Encoder, InputError
from embedkit.testing.tiny import tiny_bundle

METHOD = "embedkit.integrations.txtai.EmbedkitVectors"


def test_documents_and_questions_have_their_templates(tmp_path):
    place = tiny_bundle(tmp_path / "b", prefixes={"query": "q: ", "document": "d: "}, variants=("fp32",))
    encoder = Encoder.load(place, threads=1)
    texts = [f"text {i}" for i in range(20)]
    index = Embeddings(path=str(place), method=METHOD, content=False, backend="numpy")
    index.index(texts)
    scores = encoder.encode_document(texts) @ encoder.encode_query("text 7")
    found = index.search("text 7", 3)
    assert found[0][0] == int(np.argmax(scores))
    assert found[0][1] == pytest.approx(float(scores.max()), abs=1e-5)
    index.save(str(tmp_path / "index"))
    again = Embeddings()
    again.load(str(tmp_path / "index"))
    assert again.search("text 7", 3) == found


def test_a_bundle_without_dense_vectors(tmp_path):
    place = tiny_bundle(tmp_path / "b", kinds=["sparse"])
    with pytest.raises(ImportError) as error:  # so txtai says it, whatever a backend says
        Embeddings(path=str(place), method=METHOD)
    assert isinstance(error.value.__cause__, InputError)
    assert "gives sparse vectors first" in str(error.value.__cause__)
