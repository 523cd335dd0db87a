"""Keywords by a bundle's vectors."""

from __future__ import annotations

import pytest

pytest.importorskip("keybert")

from keybert import KeyBERT

from embedkit.integrations.keybert import EmbedkitBackend

TEXT = "tea from the mountains of china is tea of the mountains"


def test_keywords_are_by_the_bundle(bundle, encoder):
    model = KeyBERT(model=EmbedkitBackend(encoder))
    assert model.model.encoder is encoder
    found = dict(model.extract_keywords(TEXT, top_n=3, stop_words=None))
    document = encoder.encode(TEXT)
    for word, score in found.items():
        assert score == pytest.approx(float(encoder.encode(word) @ document), abs=1e-3)
    assert (
        EmbedkitBackend(bundle, variant="fp32", role="query").embed(["a", "b"]) == encoder.encode_query(["a", "b"])
    ).all()
