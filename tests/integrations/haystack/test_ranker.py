"""A reranker as Haystack's ranker."""

from __future__ import annotations

import pytest

pytest.importorskip("haystack")

from haystack import Document

from embedkit import OptionError, Reranker
from embedkit.integrations.haystack import EmbedkitRanker
from helpers.embedding_server import EmbeddingServer, serving
from helpers.small_bundles import DIM, eighths, with_logits


def test_best_first_by_a_bundle_and_by_a_server(tmp_path, encoder, monkeypatch):
    monkeypatch.delenv("http_proxy", raising=False)
    place = with_logits(tmp_path / "b", eighths(DIM, 1), pair=True)
    documents = [Document(content=text) for text in ("a boat", "rain", "bread")] + [Document(content=None)]
    expected = Reranker.load(place).rank("bread", ["a boat", "rain", "bread", ""], 3)
    one = EmbedkitRanker(str(place))
    again = EmbedkitRanker.from_dict(one.to_dict())
    for ranker in (one, again):
        found = ranker.run("bread", documents, top_k=3)["documents"]
        assert [(document.id, document.score) for document in found] == [
            (documents[each.index].id, each.score) for each in expected
        ]
    assert documents[0].score is None
    assert one.run("bread", [])["documents"] == []
    with serving(EmbeddingServer(encoder)) as url:
        assert EmbedkitRanker(url, top_k=1).run("bread", documents)["documents"][0].content == "bread"
    with pytest.raises(OptionError, match="top_k"):
        EmbedkitRanker(str(place), top_k=0)
