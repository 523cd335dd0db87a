"""A server's reranker orders hits as a bundle's does."""

from __future__ import annotations

import pytest

from embedkit import InputError, RemoteError, RemoteReranker, ingest, open_store, search

DOCUMENTS = ["zzz", "abc", "ab", "ba"]


def test_best_first_and_equal_ones_in_the_given_order(url):
    found = RemoteReranker(url, "any").rank("abc", DOCUMENTS)
    assert [(one.index, one.document) for one in found] == [(1, "abc"), (2, "ab"), (3, "ba"), (0, "zzz")]
    assert [one.index for one in RemoteReranker(url).rank("abc", DOCUMENTS, 2)] == [1, 2]
    assert RemoteReranker(url).rank("abc", []) == []


def test_the_last_word_of_a_search(url, encoder):
    with open_store("memory:remote rerank") as store:
        ingest(DOCUMENTS, encoder, store, collection="c")
        hits = search("abc", encoder, store, collection="c", rerank=RemoteReranker(url), k=4)
        assert hits[0].text == "abc"
        assert hits[-1].text == "zzz"


def test_our_servers_reranker_is_found_by_its_kind(url, server, monkeypatch):
    entry = server.models_listed()[0]
    listed = [entry, entry | {"id": "cross", "kind": "logits"}, entry | {"id": "cross:query", "kind": "logits"}]
    monkeypatch.setattr(server, "models_listed", lambda: listed)
    assert RemoteReranker(url).model == "cross"
    listed[1] |= {"kind": "dense", "outputs": {"dense": "dense", "score": "logits"}}
    del listed[2]
    assert RemoteReranker(url).model == "cross"
    listed.append(entry | {"id": "other", "kind": "logits"})
    with pytest.raises(RemoteError, match="the server has cross, other; name one"):
        RemoteReranker(url)
    assert RemoteReranker(url + "#other").model == "other"


def test_what_is_no_list(url):
    with pytest.raises(InputError, match="put it in a list"):
        RemoteReranker(url).rank("a", "b")


@pytest.mark.parametrize("results", [None, [], [{"index": 0}], [{"index": 0, "relevance_score": 1}] * 2])
def test_answers_that_are_none(url, server, monkeypatch, results):
    monkeypatch.setattr(server, "rerank", lambda _: (200, {"results": results}))
    with pytest.raises(RemoteError, match="expected"):
        RemoteReranker(url).rank("a", ["b", "c"])
