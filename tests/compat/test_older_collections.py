"""Collections that were made when stores kept dense vectors alone are opened, read and written as before."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from embedkit.errors import CollectionMismatchError
from embedkit.records.batch import RecordBatch
from embedkit.records.filters import F
from embedkit.stores.contract import Collection, CollectionInfo, CollectionSpec, StoreURL
from embedkit.stores.guarded import GuardedStore

SPEC = CollectionSpec("before ü", 2, "dot", "model")
KEPT = {"name": SPEC.name, "dim": SPEC.dim, "metric": SPEC.metric, "fingerprint": SPEC.fingerprint}
"""What was kept of a collection then."""


@contextmanager
def opened(scheme: str, address: str) -> Iterator[GuardedStore]:
    with GuardedStore(import_module(f"embedkit_{scheme}").open_store(StoreURL.parse(address))) as store:
        yield store


def as_then(store: GuardedStore, scheme: str, folder: Path) -> None:
    """Make what the store keeps of its collection what it kept then."""
    inner: Any = store.inner
    if scheme == "qdrant":
        key = inner.open(SPEC.name)._key
        inner._client._client.collections[key].config.metadata["embedkit"] = KEPT
        inner._client._client._save()
    elif scheme == "qdrant_edge":
        (file,) = folder.rglob("embedkit.json")
        assert json.loads(file.read_text()) == asdict(CollectionInfo.of(SPEC))
        file.write_text(json.dumps(KEPT))
    elif scheme == "lancedb":
        table = inner.open(SPEC.name)._table
        metadata = {b"embedkit": json.dumps(KEPT).encode()}
        rows = table.to_arrow().replace_schema_metadata(metadata)
        inner._connection.create_table(table.name, rows, mode="overwrite")
    elif scheme == "milvus":
        from embedkit_milvus._store import INFO, collection_key

        (row,) = inner._client.query(
            INFO, filter=f'key == "{collection_key(SPEC.name)}"', output_fields=["*", "vector"]
        )
        assert json.loads(row["text"])[:4] == list(KEPT.values())
        inner._client.upsert(INFO, [{**row, "text": json.dumps(list(KEPT.values()))}])
    elif scheme == "pgvector":
        with inner._database.transaction("making it old") as cursor:
            cursor.execute("ALTER TABLE embedkit.collections DROP COLUMN sparse, DROP COLUMN multivector")


@pytest.fixture(params=["qdrant", "qdrant_edge", "lancedb", "milvus", "pgvector"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, str]]:
    """A plugin's name and an address."""
    needs = {"qdrant": "qdrant_client", "milvus": "milvus_lite", "pgvector": "psycopg"}
    pytest.importorskip(needs.get(request.param, request.param))
    if request.param != "pgvector":
        yield request.param, f"{request.param.replace('_', '-')}:{tmp_path}/index"
        return
    pytest.importorskip("pgserver")
    from helpers.postgres import PASSWORD, Postgres

    monkeypatch.setenv("PGUSER", "postgres")
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    server = Postgres()
    yield request.param, server.url
    server.stop()


def test_a_collection_of_then_is_opened(place: tuple[str, str], tmp_path: Path) -> None:
    scheme, address = place
    rows = RecordBatch(["a", "b"], np.eye(2, dtype=np.float32), ["", ""], [{"n": 1}, {"n": 2}], ["h", "h"])
    with opened(scheme, address) as store:
        store.ensure(SPEC).upsert(rows)
        as_then(store, scheme, tmp_path)
    with opened(scheme, address) as store:
        assert store.names() == [SPEC.name]
        docs = store.ensure(SPEC)
        assert docs.info == CollectionInfo.of(SPEC)
        assert [hit.id for hit in docs.query(np.ones((1, 2)), 5, filter=F("n") == 2)[0]] == ["b"]
        docs.upsert(RecordBatch(["c"], np.ones((1, 2), np.float32), [""], [{}], ["h"]))
        found = docs.get(["a", "c"], with_vectors=True)
        assert [row.vector.tolist() for row in found if row.vector is not None] == [[1, 0], [1, 1]]
        assert all(row.sparse is None and row.multivector is None for row in found)
        if store.caps.sparse:
            with pytest.raises(CollectionMismatchError, match="sparse"):
                store.ensure(CollectionSpec(SPEC.name, 2, "dot", "model", sparse=9))


def test_times_that_no_version_could_read_are_read(place: tuple[str, str]) -> None:
    """Earlier versions wrote pandas.NaT as the text NaT, and then could not read the collection."""
    scheme, address = place
    kept = ['{"t":{"$embedkit":"datetime","value":"NaT"}}', '{"t":[{"$embedkit":"datetime","value":"-249-10-15"}]}']
    rows = RecordBatch(["a", "b"], np.eye(2, dtype=np.float32), ["", ""], [{"t": "NaT"}, {"t": []}], ["h", "h"], kept)
    with opened(scheme, address) as store:
        docs = store.ensure(SPEC)
        assert isinstance(docs.inner, Collection)
        docs.inner.upsert(rows)
        expected = {"a": {"t": None}, "b": {"t": ["-249-10-15"]}}
        assert {row.id: row.metadata for row in docs.records()} == expected
        assert {hit.id: hit.metadata for hit in docs.query(np.ones((1, 2)), 5)[0]} == expected
        docs.upsert(RecordBatch(["a"], np.ones((1, 2), np.float32), [""], [{"t": datetime(2024, 5, 1)}], ["h"]))
        assert docs.get(["a"])[0].metadata == {"t": datetime(2024, 5, 1)}
