"""The last word is the reranker's."""

from __future__ import annotations

import uuid

import numpy as np
import pytest

pytest.importorskip("bm25s")

from embedkit import F
from embedkit.errors import InputError
from embedkit.ingestion import ingest
from embedkit.records.documents import Document
from embedkit.retrieval.lexical import LexicalIndex
from embedkit.retrieval.searching import search
from embedkit.stores.contract import StoreURL
from embedkit.stores.guarded import GuardedStore
from embedkit.stores.memory import open_store
from helpers.hits import scores
from helpers.reranking import Overlap, Result


@pytest.mark.parametrize("hybrid", [None, "minmax"])
def test_the_last_word_is_the_rerankers(store, encoder, index, hybrid):
    found = {"collection": "docs", "lexical": index if hybrid else None, "hybrid": hybrid}
    before = search("railway 7", encoder, store, k=30, **found)
    reranker = Overlap()
    hits = search("railway 7", encoder, store, k=30, rerank=reranker, rerank_top=30, **found)
    expected = {hit.id: len(set("railway 7") & set(hit.text)) / len(set(hit.text)) for hit in before}
    assert scores(hits) == expected
    assert [hit.id for hit in hits] == sorted(expected, key=lambda row_id: (-expected[row_id], row_id))
    name = "hybrid" if hybrid else "dense"
    assert {hit.id: hit.parts[name] for hit in hits} == scores(before)
    assert {hit.id: hit.parts.get("lexical") for hit in hits} == {h.id: h.parts.get("lexical") for h in before}
    pages = [
        search("railway 7", encoder, store, k=10, offset=start, rerank=reranker, rerank_top=30, **found)
        for start in (0, 10, 20)
    ]
    assert [hit for page in pages for hit in page] == hits
    least = hits[9].score
    kept = search("railway 7", encoder, store, k=30, rerank=reranker, rerank_top=30, min_score=least, **found)
    assert kept == [hit for hit in hits if hit.score >= least]
    assert set(reranker.asked) == {30}


def test_how_many_are_reranked(store, encoder):
    reranker = Overlap()
    for more in (
        {},
        {"rerank_top": 12},
        {"candidates": 20},
        {"k": 55},
        {"filter": F("n") < 4},
        {"filter": F("n") > 99},
    ):
        search(["tea", "coffee"], encoder, store, collection="docs", rerank=reranker, **more)
    assert reranker.asked == [50, 50, 12, 12, 20, 20, 55, 55, 4, 4]
    spread = search("tea", encoder, store, collection="docs", rerank=reranker, rerank_top=12, diversity=0.9)
    assert reranker.asked[-1] == 12
    plain = search("tea", encoder, store, collection="docs", rerank=reranker, rerank_top=12)
    assert set(scores(spread)) != set(scores(plain))


@pytest.mark.parametrize(
    "told",
    [
        lambda n: [Result(i, 0.0) for i in range(n - 1)],
        lambda n: [Result(0, 0.0)] * n,
        lambda n: [Result(i + 1, 0.0) for i in range(n)],
        lambda n: [Result(i, float("nan")) for i in range(n)],
    ],
)
def test_a_reranker_that_loses_documents_is_refused(store, encoder, told):
    class Broken:
        def rank(self, query, documents, k):
            return told(len(documents))

    with pytest.raises(InputError, match=r"Broken.rank: expected each index from 0 to 49 once with a finite score"):
        search("tea", encoder, store, collection="docs", rerank=Broken())


def test_a_cross_encoder_of_sentence_transformers(encoder, tmp_path, monkeypatch):
    """With few lines around it, against the logits of its model."""
    torch = pytest.importorskip("torch")
    pytest.importorskip("sentence_transformers")
    from sentence_transformers import CrossEncoder
    from transformers import BertConfig, BertForSequenceClassification

    from helpers.models import SENTENCES, make_tokenizer

    monkeypatch.chdir(tmp_path)
    store = GuardedStore(open_store(StoreURL.parse(f"memory:{uuid.uuid4()}")))
    ingest([Document(str(i), text) for i, text in enumerate(SENTENCES)], encoder, store, collection="docs")
    tokenizer = make_tokenizer("word")
    torch.manual_seed(0)
    size = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
    config = BertConfig(vocab_size=len(tokenizer), num_labels=1, initializer_range=0.5, **size)
    model = BertForSequenceClassification(config).eval()
    model.save_pretrained(tmp_path / "cross")
    tokenizer.save_pretrained(tmp_path / "cross")
    cross = CrossEncoder(str(tmp_path / "cross"), device="cpu")

    class Cross:
        def rank(self, query, documents, k):
            ranked = cross.rank(query, documents, top_k=k, activation_fn=torch.nn.Identity())
            return [Result(one["corpus_id"], float(one["score"])) for one in ranked]

    question = "the quiet harbour"
    lexical = LexicalIndex.build(store, collection="docs")
    hits = search(question, encoder, store, collection="docs", k=8, lexical=lexical, rerank=Cross())
    inputs = tokenizer([question] * 8, list(SENTENCES), padding=True, return_tensors="pt")
    with torch.no_grad():
        logits = model(**inputs).logits[:, 0].numpy()
    assert len({round(float(score), 3) for score in logits}) == 8
    assert [hit.text for hit in hits] == [SENTENCES[i] for i in np.argsort(-logits)]
    assert scores(hits) == pytest.approx({str(i): float(score) for i, score in enumerate(logits)}, abs=1e-5)
