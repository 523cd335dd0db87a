"""OpenSearch and Elasticsearch, against a stand-in for their servers."""

from __future__ import annotations

import pytest

from embedkit.stores.contract import StoreURL
from embedkit.testing import StoreTests

pytest.importorskip("opensearchpy")
from embedkit_opensearch import open_store
from helpers import slow
from helpers.opensearch_stand_in import stand_in


@pytest.fixture(scope="module")
def opensearch():
    with stand_in() as (_, url):
        yield url


@pytest.fixture(scope="module")
def elasticsearch():
    with stand_in("elasticsearch") as (_, url):
        yield url


class TestOpenSearch(StoreTests):
    persistent = True

    @pytest.fixture
    def connect(self, opensearch):
        return lambda: open_store(StoreURL.parse(opensearch))


@slow.another_form
class TestElasticsearch(StoreTests):
    persistent = True

    @pytest.fixture
    def connect(self, elasticsearch):
        return lambda: open_store(StoreURL.parse(elasticsearch))
