"""A reranker as a postprocessor."""

from __future__ import annotations

import pytest

pytest.importorskip("llama_index.core")

from llama_index.core.schema import NodeWithScore, TextNode

from embedkit import InputError, Reranker
from embedkit.integrations.llama_index import EmbedkitRerank
from helpers.small_bundles import DIM, eighths, with_logits


def test_best_first(tmp_path):
    reranker = Reranker.load(with_logits(tmp_path / "b", eighths(DIM, 1), pair=True))
    texts = ["a boat", "rain", "bread"]
    nodes = [NodeWithScore(node=TextNode(text=text), score=0.1) for text in texts]
    found = EmbedkitRerank(reranker, top_n=2).postprocess_nodes(nodes, query_str="bread")
    expected = reranker.rank("bread", texts, 2)
    assert [(one.node.text, one.score) for one in found] == [(one.document, one.score) for one in expected]
    assert [one.score for one in nodes] == [0.1] * 3
    with pytest.raises(InputError, match="needs the question"):
        EmbedkitRerank(reranker).postprocess_nodes(nodes)
