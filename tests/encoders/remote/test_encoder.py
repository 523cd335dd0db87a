"""A remote encoder does what the bundle's does: ingest, search, evaluation, chunks, other kinds of vectors."""

from __future__ import annotations

import asyncio
import copy
import pickle

import numpy as np
import pytest

from embedkit import (
    AsyncEncoder,
    Chunking,
    CollectionMismatchError,
    Encoder,
    InputError,
    OptionError,
    RemoteEncoder,
    RemoteError,
    RemoteReranker,
    Reranker,
    chunked,
    ingest,
    open_store,
    search,
)
from embedkit.testing.tiny import tiny_bundle
from helpers.embedding_server import EmbeddingServer, serving
from helpers.small_bundles import DIM, eighths, with_logits

TEXTS = ["", "tea from the mountains", "Tee aus den Bergen", "a é 日本 🎉", "x" * 500]


def test_the_same_vectors_bit_for_bit_in_each_role(tmp_path):
    encoder = Encoder.load(
        tiny_bundle(tmp_path / "b", prefixes={"query": "q: ", "document": "d: "}), threads=1, on_truncate="ignore"
    )
    with serving(EmbeddingServer(encoder)) as url, RemoteEncoder(url, on_truncate="ignore") as remote:
        for role in encoder.roles:
            assert remote.encode(TEXTS, role=role).tobytes() == encoder.encode(TEXTS, role=role).tobytes()
        assert (remote.encode_query("tea") == encoder.encode_query("tea")).all()
        assert (
            remote.encode(TEXTS, dim=4, precision="ubinary") == encoder.encode(TEXTS, dim=4, precision="ubinary")
        ).all()
        assert np.concatenate(list(remote.stream(TEXTS))).tobytes() == encoder.encode(TEXTS).tobytes()
        assert (remote.dim, remote.kind, remote.metric, remote.max_tokens) == (8, "dense", "cosine", 64)


@pytest.mark.parametrize("kind", ["sparse", "multivector"])
def test_other_kinds_of_vectors(tmp_path, kind):
    encoder = Encoder.load(tiny_bundle(tmp_path / "b", kinds=[kind]), threads=1, on_truncate="ignore")
    with serving(EmbeddingServer(encoder)) as url, RemoteEncoder(url, on_truncate="ignore") as remote:
        assert remote.encode(TEXTS) == encoder.encode(TEXTS)
        assert (
            remote.similarity(remote.encode(TEXTS), remote.encode(TEXTS))
            == encoder.similarity(encoder.encode(TEXTS), encoder.encode(TEXTS))
        ).all()


def test_what_is_kept_by_the_bundle_is_found_through_the_server_and_the_other_way_round(url, encoder):
    documents = [{"id": str(i), "text": f"text {i}"} for i in range(100)]
    with RemoteEncoder(url) as remote, open_store("memory:remote round") as store:
        for one, other in ((encoder, remote), (remote, encoder)):
            name = type(one).__name__
            assert ingest(documents, one, store, collection=name).written == 100
            assert ingest(documents, other, store, collection=name).unchanged == 100
            assert search("text 5", other, store, collection=name) == search("text 5", one, store, collection=name)


def test_a_strangers_collection_refuses_another_model_of_the_same_name(url, server, tmp_path):
    server.own, server.noise = False, 1e-4
    documents = [{"id": str(i), "text": f"text {i}"} for i in range(20)]
    with open_store("memory:stranger") as store:
        assert ingest(documents, RemoteEncoder(url), store, collection="c").written == 20
        assert ingest(documents, RemoteEncoder(url), store, collection="c").unchanged == 20
        assert search("text 5", RemoteEncoder(url), store, collection="c")[0].id == "5"
        server.models["tiny"] = Encoder.load(tiny_bundle(tmp_path / "b", seed=1), variant="fp32", threads=1)
        with pytest.raises(CollectionMismatchError, match="another model's vectors"):
            search("text 5", RemoteEncoder(url), store, collection="c")
        with pytest.raises(CollectionMismatchError, match="another model's vectors"):
            ingest(documents, RemoteEncoder(url), store, collection="c")


def test_prompts_are_put_before_the_texts_of_a_stranger(url, server, encoder):
    server.own = False
    with RemoteEncoder(url, prompts={"query": "query: "}) as remote:
        assert (remote.encode_query("tea") == encoder.encode("query: tea")).all()
        assert (remote.encode_document("tea") == encoder.encode("tea")).all()
        assert "role" not in server.asked[-1]
    with pytest.raises(InputError, match="role"):
        remote.encode("tea", role="other")


def test_fewer_numbers_are_asked_for(url, server, encoder):
    for server.own in (True, False):
        with RemoteEncoder(url, dimensions=4) as remote:
            assert remote.dim == 4
            assert remote.encode(TEXTS[1:3]).tobytes() == encoder.encode(TEXTS[1:3], dim=4).tobytes()
            assert server.asked[-1]["dimensions"] == 4


def test_pickled_and_copied_without_the_key(url, server, encoder, monkeypatch, tmp_path):
    monkeypatch.setenv("EMBEDKIT_API_KEY", "sk-s3cret")
    server.key = "sk-s3cret"
    remote = RemoteEncoder(url)
    raw = pickle.dumps(remote)
    assert b"s3cret" not in raw
    assert "s3cret" not in repr(remote) + str(vars(remote))
    for again in (pickle.loads(raw), copy.copy(remote)):
        assert (again.encode("a") == encoder.encode("a")).all()
    server.models["tiny"] = Encoder.load(tiny_bundle(tmp_path / "b", seed=1), variant="fp32", threads=1)
    with pytest.raises(RemoteError, match="is another one than before"):
        pickle.loads(raw)
    monkeypatch.delenv("EMBEDKIT_API_KEY")
    with pytest.raises(RemoteError, match="answered 401.*set EMBEDKIT_API_KEY"):
        RemoteEncoder(url)


def test_a_fingerprint_that_was_noted(url, encoder):
    RemoteEncoder(url, fingerprint=encoder.fingerprint).close()
    with pytest.raises(RemoteError, match="is another one than before"):
        RemoteEncoder(url, fingerprint="0" * 64)


def test_chunks_need_the_tokenizer(url, encoder, bundle):
    documents = [{"id": "a", "text": "one two three. " * 40}]
    with RemoteEncoder(url) as remote, pytest.raises(InputError, match="give its tokenizer for chunks"):
        chunked(documents, remote, Chunking(20))
    with RemoteEncoder(url, tokenizer=bundle / "tokenizer.json") as remote:
        mine = [row.text for row in chunked(documents, remote, Chunking(20))]
        assert mine == [row.text for row in chunked(documents, encoder, Chunking(20))]


def test_many_requests_of_one_loop(url, encoder):
    async def all_at_once():
        with RemoteEncoder(url) as remote:
            async with AsyncEncoder(remote) as one:
                return await asyncio.gather(*(one.encode(f"text {i}") for i in range(50)))

    assert (np.array(asyncio.run(all_at_once())) == encoder.encode([f"text {i}" for i in range(50)])).all()


@pytest.mark.parametrize(
    "options",
    [{"batch_size": 0}, {"concurrency": True}, {"dimensions": 0}, {"retries": -1}, {"timeout": 0}, {"metric": "near"},
     {"on_truncate": "no"}, {"key_variable": "NOT_SET"}],
)  # fmt: skip
def test_options_that_say_nothing_sensible(url, options):
    with pytest.raises(OptionError, match=next(iter(options))):
        RemoteEncoder(url, **options)


def test_prompts_of_a_role_that_nobody_has_are_taken_as_a_role(url, server, encoder):
    server.own = False
    with RemoteEncoder(url, prompts={"clustering": "cluster: "}) as remote:
        assert (remote.encode("tea", role="clustering") == encoder.encode("cluster: tea")).all()


def test_against_our_own_server(tmp_path):
    pytest.importorskip("starlette", reason="the extra serve is not installed")
    from helpers.served import served

    place = tiny_bundle(tmp_path / "b", prefixes={"query": "q: ", "document": "d: "})
    encoder = Encoder.load(place, variant="fp32", threads=1, on_truncate="ignore")
    rank = Encoder.load(with_logits(tmp_path / "rank", eighths(DIM, 1), pair=True), threads=1)
    with served({"tiny": encoder, "rank": rank}) as running, RemoteEncoder(f"{running.url}/v1", "tiny") as remote:
        assert (remote.model, remote.fingerprint) == ("tiny", encoder.fingerprint)
        for role in encoder.roles:
            assert remote.encode(TEXTS, role=role).tobytes() == encoder.encode(TEXTS, role=role).tobytes()
        assert remote.stats.truncated == 3
        documents = [{"id": str(i), "text": f"text {i}"} for i in range(300)]
        with open_store("memory:our server") as store:
            assert ingest(documents, remote, store, collection="c").written == 300
            found = search("text 7", encoder, store, collection="c")
            assert search("text 7", remote, store, collection="c") == found
        own = Reranker(rank)
        assert RemoteReranker(f"{running.url}/v1").rank("bread", TEXTS) == own.rank("bread", TEXTS)
