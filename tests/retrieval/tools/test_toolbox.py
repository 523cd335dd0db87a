"""Tools give what search and the collection give."""

from __future__ import annotations

import pytest

from embedkit import CollectionMismatchError, CollectionNotFoundError, Encoder, F, InputError, search
from embedkit.errors import FilterError
from embedkit.retrieval.tools.toolbox import Toolbox
from embedkit.testing.tiny import tiny_bundle


def test_search_and_get(toolbox, encoder):
    hits = search("text 7", encoder, toolbox.store, collection="docs", k=3, filter=F("number") >= 5)
    found = toolbox.call("search", {"query": "text 7", "k": 3, "filter": "number >= 5"})["hits"]
    assert found == [
        {"id": hit.id, "score": hit.score, "text": hit.text, "metadata": {"number": int(hit.id)}} for hit in hits
    ]
    assert len(toolbox.call("search", {"query": "text 7", "collection": "more"})["hits"]) == 3
    found = toolbox.call("get", {"ids": ["3", "unknown"]})
    assert found == {"documents": [{"id": "3", "text": "text 3", "metadata": {"number": 3}}], "missing": ["unknown"]}
    counts = [{"name": "docs", "documents": 20}, {"name": "more", "documents": 3}]
    assert toolbox.call("list_collections", {}) == {"collections": counts}


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("search", {}, "'query' is missing"),
        ("search", {"query": 3}, "query: expected a text"),
        ("search", {"query": " "}, "query 0: expected some text"),
        ("search", {"query": "a", "k": 101}, "k: expected an integer from 1 to 100"),
        ("search", {"query": "a", "collection": "secret"}, "collection: expected one of docs, more"),
        ("search", {"query": "a", "filter": 3}, "filter: expected a text"),
        ("search", {"query": "a", "limit": 3}, "found 'limit'"),
        ("get", {"ids": []}, "ids: expected a list"),
        ("get", {"ids": [3]}, "ids: expected a non-empty string"),
        ("list_collections", {"x": 1}, "expected no arguments"),
    ],
)
def test_wrong_arguments(toolbox, name, arguments, message):
    with pytest.raises(InputError, match=message):
        toolbox.call(name, arguments)


def test_what_is_not_there(toolbox, encoder, tmp_path):
    with pytest.raises(KeyError):
        toolbox.call("delete", {})
    with pytest.raises(FilterError):
        toolbox.call("search", {"query": "a", "filter": "number ~ 3"})
    with pytest.raises(CollectionNotFoundError):
        Toolbox(encoder, toolbox.store, ["none"])
    with pytest.raises(CollectionMismatchError):
        Toolbox(Encoder.load(tiny_bundle(tmp_path / "b", seed=1), threads=1), toolbox.store, ["docs"])
    with pytest.raises(InputError, match="at least one"):
        Toolbox(encoder, toolbox.store, [])
