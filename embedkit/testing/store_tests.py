"""The conformance suite of the store contract: what every vector store must do, as pytest cases to subclass."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from embedkit.stores.contract import Collection, CollectionSpec, VectorStore
from embedkit.stores.guarded import GuardedCollection, GuardedStore

from .bulk_tests import BulkTests
from .filter_tests import FilterTests
from .kinds_tests import KindsTests
from .lifecycle_tests import LifecycleTests
from .row_tests import RowTests
from .samples import DIM, fresh_name
from .vector_tests import VectorTests


class StoreTests(RowTests, VectorTests, FilterTests, BulkTests, LifecycleTests, KindsTests):
    """Override `connect`, and ``persistent`` where rows outlive the connection; the rest follows from the
    capabilities.

    Most cases ask the store as users do, through `embedkit.stores.GuardedStore`. Those that begin with ``test_raw`` ask the
    plugin by itself, so that nothing that embedkit does above it hides what it does wrong.
    """

    persistent = False
    """Whether what was written is there again after ``close`` and a new connection."""

    @pytest.fixture
    def connect(self) -> Callable[[], VectorStore]:
        """A function that opens the same store each time it is called: to be overridden."""
        raise NotImplementedError("override the fixture 'connect' with a function that opens your store")

    @pytest.fixture
    def store(self, connect: Callable[[], VectorStore]) -> Iterator[GuardedStore]:
        """The store as users get it; collections that a test leaves behind are dropped."""
        store = GuardedStore(connect())
        before = set(store.names())
        yield store
        for name in set(store.names()) - before:
            store.drop(name)
        store.close()

    @pytest.fixture
    def docs(self, store: GuardedStore) -> GuardedCollection:
        """An empty collection under cosine."""
        return store.ensure(CollectionSpec(fresh_name("docs"), DIM))

    @pytest.fixture
    def raw_store(self, store: GuardedStore) -> VectorStore:
        """The plugin's own store."""
        return store.inner

    @pytest.fixture
    def raw_docs(self, raw_store: VectorStore) -> Collection:
        """An empty collection of the plugin's own, under cosine."""
        return raw_store.ensure(CollectionSpec(fresh_name("raw"), DIM))
