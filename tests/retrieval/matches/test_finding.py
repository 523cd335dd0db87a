"""What matched, against products in numpy; what is told adds up to the score that the store gave."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from embedkit import Document, Encoder, F, Hit, LexicalIndex, OptionError, search
from embedkit.ingestion import ingest
from embedkit.stores.guarded import GuardedStore
from embedkit.stores.opening import open_store
from embedkit.testing.tiny import tiny_bundle
from helpers.reranking import Overlap

TEXTS = ["tea from the mountains", "coffee from the coast", "a railway timetable", "tea tea tea and coffee"]
KINDS = ("dense", "sparse", "multivector")


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    folder = tiny_bundle(tmp_path_factory.mktemp("kinds") / "bundle", kinds=KINDS, prefixes={"query": "q "})
    return Encoder.load(folder, variant="fp32", threads=1)


@pytest.fixture(params=["memory:", "qdrant://:memory:"])
def store(
    request: pytest.FixtureRequest,
    encoder: Encoder,
    entry_points: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[GuardedStore]:
    if "qdrant" in request.param:
        pytest.importorskip("qdrant_client")
    monkeypatch.chdir(tmp_path)
    with open_store(request.param) as store:
        documents = [Document(str(i), text, {"n": i}) for i, text in enumerate(TEXTS)]
        for kind in KINDS:
            ingest(documents, encoder, store, collection=kind, outputs=[kind])
        ingest(documents, encoder, store, collection="all", outputs=KINDS)
        yield store


def total(hit: Hit, name: str) -> float:
    return sum(match.score for match in hit.matches[name])


def test_tokens_of_multivectors(encoder: Encoder, store: GuardedStore) -> None:
    hits = search("tea é", encoder, store, collection="multivector", k=3, explain=True)
    asked = encoder.encode("tea é", role="query", output="multivector")[0].astype(np.float64)
    for hit in hits:
        kept = encoder.encode(hit.text, role="document", output="multivector")[0].astype(np.float64)
        products = asked @ kept.T
        expected = sorted(products.max(axis=1), reverse=True)
        matches = hit.matches["multivector"]
        np.testing.assert_allclose([match.score for match in matches], expected, rtol=1e-5, atol=1e-6)
        assert total(hit, "multivector") == pytest.approx(hit.score, rel=1e-5)
        assert sorted(match.query for match in matches)[:5] == ["</s>", "<s>", "a", "e", "q"]
        tokens = ["<s>", *hit.text, "</s>"]
        for match in matches:
            rows = [
                row for row, score in zip(products, products.max(axis=1), strict=True) if np.isclose(score, match.score)
            ]
            nearest = {tokens[int(row.argmax())].strip() for row in rows}
            assert match.found.strip() in nearest or match.found in ("Ġ",)
    assert [(hit.id, hit.score) for hit in search("tea é", encoder, store, collection="multivector", k=3)] == [
        (hit.id, hit.score) for hit in hits
    ]


def test_words_of_sparse_vectors(encoder: Encoder, store: GuardedStore) -> None:
    hits = search(["tea", "coffee"], encoder, store, collection="sparse", k=2, offset=1, explain=True)
    for query, found in zip(["tea", "coffee"], hits, strict=True):
        asked = encoder.encode(query, role="query", output="sparse").dense()[0].astype(np.float64)
        for hit in found:
            products = asked * encoder.encode(hit.text, role="document", output="sparse").dense()[0]
            expected = {f"#{number}": products[number] for number in np.flatnonzero(products)}
            told = {match.query: match.score for match in hit.matches["sparse"]}
            assert told == pytest.approx(expected)
            assert list(told.values()) == sorted(told.values(), reverse=True)
            assert all(match.query == match.found for match in hit.matches["sparse"])
            assert total(hit, "sparse") == pytest.approx(hit.score, rel=1e-5)


def test_every_part_of_a_fused_score(encoder: Encoder, store: GuardedStore) -> None:
    pytest.importorskip("bm25s")
    index = LexicalIndex.build(store, collection="all")
    hits = search(
        "tea tea coffee", encoder, store, collection="all", k=4, lexical=index, filter=F("n") >= 1, explain=True
    )
    assert {hit.id for hit in hits} == {"1", "2", "3"}
    for hit in hits:
        assert hit.matches.keys() == hit.parts.keys() - {"dense"}
        for name in hit.matches:
            assert total(hit, name) == pytest.approx(hit.parts[name], rel=1e-5)
    words = {hit.id: [match.query for match in hit.matches.get("lexical", ())] for hit in hits}
    assert (sorted(words["3"]), words["1"], words["2"]) == (["coffee", "tea"], ["coffee"], [])
    alone = search(
        "tea",
        encoder,
        store,
        collection="all",
        lexical=index,
        weights={"dense": 0, "sparse": 0, "multivector": 0},
        explain=True,
    )
    assert all(list(hit.matches) == ["lexical"] for hit in alone)


def test_a_reranker_keeps_what_matched(encoder: Encoder, store: GuardedStore) -> None:
    for hit in search("tea", encoder, store, collection="sparse", k=2, rerank=Overlap(), explain=True):
        assert total(hit, "sparse") == pytest.approx(hit.parts["sparse"], rel=1e-5)


def test_one_dense_vector_has_nothing_to_tell(encoder: Encoder, store: GuardedStore) -> None:
    for collection in ("dense", "all"):
        with pytest.raises(
            OptionError, match="is ranked by one dense vector a document, of which no word has a score of its own"
        ):
            search("tea", encoder, store, collection=collection, explain=True)
    with pytest.raises(OptionError, match="explain"):
        search("tea", encoder, store, collection="sparse", explain="yes")
