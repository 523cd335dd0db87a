"""A store behind the server: what is written is found, by vectors, filters, several kinds, and a reranker."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import embedkit
from embedkit import Encoder, F, FilterError
from embedkit.ingestion.jobs.migrate import go_back
from embedkit.server.routes.collections import asked_filter
from embedkit.testing.tiny import tiny_bundle
from helpers.served import Served, quiet, served

DOCUMENTS = [
    {"id": "1", "text": "tea from the mountains", "metadata": {"year": 2020, "lang": "en"}},
    {"id": "2", "text": "rain in the north", "metadata": {"year": 2021, "lang": "en"}},
    {"id": "3", "text": "tee aus den bergen", "metadata": {"year": 2022, "lang": "de"}},
]


@pytest.fixture(scope="module")
def running(encoders: dict[str, Encoder], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    pytest.importorskip("sqlite_vec", reason="the extra sqlite-vec is not installed")
    url = f"sqlite-vec:{tmp_path_factory.mktemp('store') / 'db'}"
    models = {name: encoders[name] for name in ("tiny", "rank")}
    with served(models, quiet(store=url, max_texts=100)) as made:
        yield made


@pytest.fixture(scope="module")
def filled(running: Served) -> Served:
    got = running.ask("/v1/collections/docs/documents", {"documents": DOCUMENTS, "model": "tiny", "outputs": ["dense"]})
    assert got.status == 200, got.data
    assert got.json["report"]["written"] == 3
    assert got.json["refused"] == []
    return running


def search(running: Served, **body: Any) -> Any:
    got = running.ask("/v1/collections/docs/search", {"model": "tiny", **body})
    assert got.status == 200, got.data
    return got.json


def test_hits_are_those_of_search(filled: Served, encoders: dict[str, Encoder]) -> None:
    store = filled.service.settings.store
    assert store is not None
    expected = embedkit.search("tea", encoders["tiny"], store, collection="docs", k=2)
    got = search(filled, query="tea", k=2)
    assert [(hit["id"], hit["text"]) for hit in got["hits"]] == [(hit.id, hit.text) for hit in expected]
    assert [hit["score"] for hit in got["hits"]] == pytest.approx([hit.score for hit in expected])
    assert got["hits"][0]["metadata"] == dict(expected[0].metadata)
    languages = [hit["metadata"].get("lang") for hit in search(filled, query="tea", k=10, group_by="lang")["hits"]]
    assert len(languages) == len(set(languages)) > 1
    several = search(filled, query=["tea", "rain"], k=1)["answers"]
    assert [len(one["hits"]) for one in several] == [1, 1]


def test_filters_hybrid_and_reranking(filled: Served) -> None:
    assert {hit["id"] for hit in search(filled, query="tea", filter="lang==en")["hits"]} == {"1", "2"}
    assert {hit["id"] for hit in search(filled, query="tea", filter=["lang==en", "year>2020"])["hits"]} == {"2"}
    found = search(filled, query="tea", filter={"lang": {"in": ["en", "de"]}, "year": {">=": 2021}})["hits"]
    assert {hit["id"] for hit in found} == {"2", "3"}
    ranked = search(filled, query="tea", rerank=True)["hits"]
    assert [hit["score"] for hit in ranked] == sorted((hit["score"] for hit in ranked), reverse=True)
    assert all("parts" in hit for hit in ranked)


def test_writing_again_changes_nothing(filled: Served) -> None:
    got = filled.ask("/v1/collections/docs/documents", {"documents": DOCUMENTS, "model": "tiny"}).json
    assert got["report"]["written"] == 0


@pytest.mark.parametrize(
    ("path", "body", "status", "words"),
    [
        ("docs/search", {"query": ""}, 400, "expected some text"),
        ("docs/search", {"query": []}, 400, "empty list"),
        ("docs/search", {}, 400, "found none"),
        ("docs/search", {"query": "a", "k": 0}, 400, "k: expected"),
        ("docs/search", {"query": "a", "filter": 7}, 400, "filter"),
        ("docs/search", {"query": "a", "filter": {"year": {"~": 1}}}, 400, "operations"),
        ("docs/search", {"query": "a", "rerank": "tiny"}, 400, "rerank"),
        ("none/search", {"query": "a"}, 404, "none"),
        ("docs/documents", {"documents": []}, 400, "documents: expected 1 to 100"),
        ("docs/documents", {"documents": [{"id": 1, "text": "a"}]}, 400, "document 0: expected"),
        ("docs/documents", {"documents": [{"id": "1", "text": "a", "metadata": []}]}, 400, "metadata"),
    ],
)
def test_what_is_refused(filled: Served, path: str, body: Any, status: int, words: str) -> None:
    got = filled.ask(f"/v1/collections/{path}", {"model": "tiny", **body})
    assert got.status == status, got.data
    assert words in got.json["error"]["message"]


def test_what_the_store_cannot_do(filled: Served) -> None:
    got = filled.ask("/v1/collections/other/documents", {"documents": DOCUMENTS, "model": "tiny"})
    assert (got.status, got.json["error"]["code"]) == (502, "store_failed")
    assert "keeps no sparse vectors" in got.json["error"]["message"]


def test_a_server_without_a_store(server: Served) -> None:
    got = server.ask("/v1/collections/docs/search", {"query": "a"})
    assert (got.status, got.json["error"]["code"]) == (404, "no_store")


def test_filters(tmp_path: Path) -> None:
    assert asked_filter(None) is None
    assert asked_filter({"a": 1, "b": {"<": 2}}) == ((F("a") == 1) & (F("b") < 2))
    assert asked_filter([{"a": None}]) == (F("a") == None)  # noqa: E711
    with pytest.raises(FilterError, match="clauses"):
        asked_filter([7])


def test_of_several_models_that_answers_whose_vectors_a_name_leads_to(
    encoders: dict[str, Encoder], tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    pytest.importorskip("sqlite_vec", reason="the extra sqlite-vec is not installed")
    url = f"sqlite-vec:{tmp_path / 'db'}"
    newer = Encoder.load(tiny_bundle(tmp_path / "newer", dim=12, seed=5), variant="fp32", threads=1)
    embedkit.ingest(DOCUMENTS, encoders["tiny"], url, collection="docs", outputs=["dense"])
    with served({"tiny": encoders["tiny"], "newer": newer}, quiet(store=url)) as running:

        def answered() -> str:
            got = running.ask("/v1/collections/docs/search", {"query": "tea"})
            assert got.status == 200, got.data
            assert len(got.json["hits"]) == 3
            return str(got.json["model"])

        assert answered() == "tiny"
        assert embedkit.migrate(newer, url, collection="docs").switched
        assert answered() == "newer"
        more = {"documents": [{"id": "4", "text": "more tea"}]}
        assert running.ask("/v1/collections/docs/documents", more).json["report"]["written"] == 1
        assert go_back(url, collection="docs").left_rows == 4
        assert answered() == "tiny"
        assert running.ask("/v1/collections/docs/search", {"query": "tea", "model": "newer"}).status == 409
        assert running.ask("/v1/collections/none/search", {"query": "tea"}).status == 404


def test_what_matched(encoders: dict[str, Encoder]) -> None:
    with served({"tiny": encoders["tiny"]}, quiet(store="memory:matched")) as running:
        body = {"documents": DOCUMENTS, "model": "tiny", "outputs": ["sparse"]}
        assert running.ask("/v1/collections/docs/documents", body).status == 200
        for hit in search(running, query="tea", explain=True)["hits"]:
            assert sum(match["score"] for match in hit["matches"]["sparse"]) == pytest.approx(hit["score"], rel=1e-5)
        assert "matches" not in search(running, query="tea")["hits"][0]


def test_one_vector_a_document_has_nothing_to_tell(filled: Served) -> None:
    got = filled.ask("/v1/collections/docs/search", {"query": "tea", "model": "tiny", "explain": True})
    assert got.status == 400
    assert "of which no word has a score of its own" in got.json["error"]["message"]
