"""A collection of 60 documents, and the words of it."""

from __future__ import annotations

import uuid

import pytest

from embedkit.ingestion import ingest
from embedkit.records.documents import Document
from embedkit.retrieval.lexical import LexicalIndex
from embedkit.stores.contract import CollectionSpec, StoreURL
from embedkit.stores.guarded import GuardedStore
from embedkit.stores.memory import open_store
from helpers.hits import SUBJECTS
from helpers.word_rows import write


@pytest.fixture
def store(encoder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store = GuardedStore(open_store(StoreURL.parse(f"memory:{uuid.uuid4()}")))
    texts = [f"{subject} {number}" for subject in SUBJECTS for number in range(20)]
    ingest([Document(f"{i:02}", text, {"n": i}) for i, text in enumerate(texts)], encoder, store, collection="docs")
    return store


@pytest.fixture
def index(store):
    return LexicalIndex.build(store, collection="docs")


@pytest.fixture
def rows():
    """A collection of 60 documents in memory."""
    store = GuardedStore(open_store(StoreURL.parse(f"memory:{uuid.uuid4()}")))
    rows = store.ensure(CollectionSpec("docs", 2))
    write(rows, [Document(f"{i:02}", f"tea number {i}" + " tea" * (i % 7), {"n": i}) for i in range(60)])
    rows.store = store
    return rows
