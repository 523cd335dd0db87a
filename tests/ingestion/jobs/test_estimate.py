"""What a dry run says is what the ingest then does; and it writes nothing."""

from __future__ import annotations

import json
import uuid

import pytest

from embedkit.errors import CollectionMismatchError, InputError
from embedkit.ingestion import estimate, ingest
from embedkit.records.documents import Document
from embedkit.stores.contract import CollectionSpec, StoreURL
from embedkit.stores.guarded import GuardedStore
from embedkit.stores.memory import open_store

WORDS = "a b c d e f g h"


@pytest.fixture
def store() -> GuardedStore:
    return GuardedStore(open_store(StoreURL.parse(f"memory:{uuid.uuid4()}")))


def test_it_says_what_the_ingest_does(encoder, store):
    ingest([Document(str(i), f"text {i}") for i in range(400)], encoder, store, collection="docs")
    source = [Document(str(i), f"text {i}" if i % 3 else f"changed {i}") for i in range(200, 1000)]
    source += [source[0], Document("bad", " "), Document("x", "no \ud800")]
    said = estimate(source, encoder, store, collection="docs", sync=True)
    assert store.open("docs").count() == 400
    done = ingest(source, encoder, store, collection="docs", sync=True)
    assert said.exists
    assert (said.read, said.unchanged, said.duplicates, said.dead) == (
        done.read,
        done.unchanged,
        done.duplicates,
        done.dead,
    )
    assert said.new + said.changed == done.written
    assert said.gone == done.deleted == 200
    assert said.changed == sum(1 for i in range(200, 400) if i % 3 == 0)
    assert said.vector_bytes == 4 * encoder.dim * done.written
    assert 0 < said.seconds < 60
    assert json.loads(said.to_json())["new"] == said.new
    assert "nothing was written" in str(said)


def test_tokens_are_those_of_the_texts(encoder, store):
    source = [Document(str(i), f"{WORDS} {i}") for i in range(1_000, 4_000)]
    said = estimate(source, encoder, store, collection="docs")
    before = encoder.stats.tokens
    encoder.encode([row.text for row in source[:7]])
    each = (encoder.stats.tokens - before) / 7
    assert not said.exists
    assert said.sampled == 256
    assert said.tokens == pytest.approx(3_000 * each, rel=0.05)
    assert store.names() == []


def test_nothing_to_do(encoder, store):
    said = estimate([], encoder, store, collection="docs")
    assert (said.read, said.sampled, said.tokens, said.seconds) == (0, 0, 0, 0)
    assert "about" not in str(said)


def test_what_the_ingest_would_refuse(encoder, store):
    store.ensure(CollectionSpec("docs", encoder.dim, "cosine", "another"))
    with pytest.raises(CollectionMismatchError):
        estimate([Document("a", "b")], encoder, store, collection="docs")
    with pytest.raises(InputError, match="no usable row"):
        estimate([], encoder, store, collection="new", sync=True)
