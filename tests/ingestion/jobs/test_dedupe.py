"""Near-duplicates: those that brute force over numpy finds, and none deleted that has none as near among those that stay."""

from __future__ import annotations

import json

import numpy as np
import pytest

from embedkit.errors import CollectionNotFoundError, OptionError
from embedkit.ingestion import dedupe
from embedkit.ingestion.jobs import dedupe as module
from embedkit.records.filters import F
from embedkit.stores.contract import CollectionSpec
from embedkit.stores.opening import open_store
from embedkit.testing.samples import fresh_name, text_batch, unit_vectors
from helpers import embedded


def greedy(vectors: np.ndarray, ids: list[str], threshold: float) -> dict[str, set[str]]:
    """In the order of ids each to the nearest kept one before it."""
    order, kept, found = sorted(range(len(ids)), key=ids.__getitem__), [], {}
    for i in order:
        near = [(float(vectors[i] @ vectors[j]), j) for j in kept if vectors[i] @ vectors[j] >= threshold - 1e-6]
        if near:
            found.setdefault(ids[max(near)[1]], set()).add(ids[i])
        else:
            kept.append(i)
    return found


@pytest.fixture
def rows():
    rng = np.random.default_rng(0)
    vectors = unit_vectors(25)[rng.integers(0, 25, 150)] + rng.normal(0, 0.05, (150, 16)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return [f"{i:03}" for i in rng.permutation(150)], vectors.astype(np.float32)


@pytest.mark.parametrize("name", ["memory", "sqlite-vec", "lancedb"])
@pytest.mark.parametrize("threshold", [0.9, 0.97])
def test_duplicates_are_those_of_brute_force(rows, name, threshold, tmp_path):
    ids, vectors = rows
    with embedded.address(name, tmp_path) as url, open_store(url) as store:
        docs = store.ensure(CollectionSpec("docs", 16))
        docs.upsert(text_batch(ids, vectors=vectors))
        expected = greedy(vectors, ids, threshold)
        report = dedupe(store, collection="docs", threshold=threshold)
        assert {group.kept: set(group.others) for group in report.groups} == expected
        assert (report.rows, report.deleted, docs.count()) == (150, 0, 150)
        place = {row_id: i for i, row_id in enumerate(ids)}
        for group in report.groups:
            for other, cosine in group.others.items():
                assert cosine == pytest.approx(float(vectors[place[group.kept]] @ vectors[place[other]]), abs=1e-5)
        assert json.loads(report.to_json())["duplicates"] == report.duplicates > 0
        gone = dedupe(store, collection="docs", threshold=threshold, delete=True)
        assert gone.deleted == report.duplicates == 150 - docs.count()
        assert dedupe(store, collection="docs", threshold=threshold).groups == []
        assert f"{report.duplicates:,} nearly the same" in str(report)


def test_many_equal_rows_are_one_group(monkeypatch):
    monkeypatch.setattr(module, "_FIRST", 2)
    with open_store(f"memory:{fresh_name('dedupe')}") as store:
        docs = store.ensure(CollectionSpec("docs", 16))
        docs.upsert(text_batch([f"{i:02}" for i in range(40)], vectors=np.repeat(unit_vectors(1), 40, axis=0)))
        (group,) = dedupe(store, collection="docs", threshold=1.0).groups
        assert (group.kept, len(group.others)) == ("00", 39)
        (group,) = dedupe(store, collection="docs", filter=F("n") >= 30).groups
        assert (group.kept, len(group.others)) == ("30", 9)


def test_what_cannot_be_compared_is_refused():
    with open_store(f"memory:{fresh_name('dedupe')}") as store:
        store.ensure(CollectionSpec("dot", 16, "dot"))
        with pytest.raises(OptionError, match="cosine"):
            dedupe(store, collection="dot")
        with pytest.raises(CollectionNotFoundError):
            dedupe(store, collection="other")
        assert dedupe(store.exact(), collection=store.ensure(CollectionSpec("none", 3)).info.name).groups == []
        for wrong in (0, 1.1, "x"):
            with pytest.raises(OptionError):
                dedupe(store, collection="dot", threshold=wrong)
