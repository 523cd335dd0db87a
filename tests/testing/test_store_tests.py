"""The conformance suite finds what a plugin does wrong, also where embedkit mends it for users."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from embedkit.records.documents import Hit, Page, WriteResult
from embedkit.stores.contract import CollectionSpec, StoreURL
from embedkit.stores.guarded import GuardedStore
from embedkit.stores.memory import MemoryCollection, open_store
from embedkit.testing import StoreTests
from embedkit.testing.samples import DIM, text_batch, unit_vectors
from helpers.broken_stores import BrokenStore


class WorstFirst(MemoryCollection):
    def query(self, *args: Any, **options: Any) -> list[list[Hit]]:
        return [hits[::-1] for hits in super().query(*args, **options)]


class Twice(MemoryCollection):
    def get(self, *args: Any, **options: Any) -> list[Any]:
        return 2 * super().get(*args, **options)


class ShortPages(MemoryCollection):
    def scan(self, *, limit: int = 1000, **options: Any) -> Page:
        return super().scan(limit=max(1, limit - 1), **options)


class Miscounting(MemoryCollection):
    def upsert(self, batch: Any) -> WriteResult:
        return replace(super().upsert(batch), written=len(batch) + 1)


class Distances(MemoryCollection):
    def query(self, *args: Any, **options: Any) -> list[list[Hit]]:
        return [[replace(hit, score=-hit.score) for hit in hits] for hits in super().query(*args, **options)]


class BlindToFilters(MemoryCollection):
    def count(self, filter: Any = None) -> int:
        return super().count(None)


class LosesTypes(MemoryCollection):
    def get(self, *args: Any, **options: Any) -> list[Any]:
        found = super().get(*args, **options)
        return [
            replace(one, metadata={key: float(v) if type(v) is int else v for key, v in one.metadata.items()})
            for one in found
        ]


@pytest.fixture
def store(tmp_path: Path) -> Callable[[type[MemoryCollection]], BrokenStore]:
    def made(kind: type[MemoryCollection]) -> BrokenStore:
        inner = open_store(StoreURL.parse(f"memory:{tmp_path}"))
        inner.__class__ = BrokenStore
        assert isinstance(inner, BrokenStore)
        inner.kind = kind
        return inner

    return made


CASES: list[tuple[type[MemoryCollection], str, dict[str, Any]]] = [
    (WorstFirst, "test_raw_the_nearest_come_best_first", {"metric": "dot", "k": 10}),
    (Distances, "test_raw_the_nearest_come_best_first", {"metric": "euclidean", "k": 1}),
    (Twice, "test_raw_any_string_is_an_id", {}),
    (Miscounting, "test_raw_rows_are_replaced_as_a_whole", {}),
    (LosesTypes, "test_raw_metadata_is_lossless", {}),
    (BlindToFilters, "test_raw_filters_are_exact_within_the_capabilities", {}),
    (ShortPages, "test_raw_a_scan_is_whole_and_in_a_fixed_order", {"limit": 7}),
]


@pytest.mark.parametrize(("kind", "case", "options"), CASES, ids=lambda value: getattr(value, "__name__", None))
def test_a_fault_is_found(
    store: Callable[..., BrokenStore], kind: type[MemoryCollection], case: str, options: dict[str, Any]
) -> None:
    def run(inner: BrokenStore) -> None:
        method = getattr(StoreTests, case)
        wanted = method.__code__.co_varnames[: method.__code__.co_argcount]
        given = {"raw_store": inner, "raw_docs": inner.ensure(CollectionSpec(f"raw {inner.kind.__name__}", DIM))}
        method(StoreTests(), **{name: value for name, value in given.items() if name in wanted}, **options)

    run(store(MemoryCollection))
    with pytest.raises(AssertionError):
        run(store(kind))


def test_some_of_these_are_mended_for_users(store: Callable[..., BrokenStore]) -> None:
    for kind in (WorstFirst, Twice):
        docs = GuardedStore(store(kind)).ensure(CollectionSpec(kind.__name__, DIM))
        docs.upsert(text_batch(["a", "b", "c"]))
        (hits,) = docs.query(unit_vectors(1), 3)
        assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
        assert [record.id for record in docs.get(["c", "a"])] == ["c", "a"]


def test_a_dropped_collection_that_answers_is_found(store: Callable[..., BrokenStore]) -> None:
    class Ghost(MemoryCollection):
        def count(self, filter: Any = None) -> int:
            return 0

    with pytest.raises(AssertionError, match="count of a dropped collection answered 0"):
        StoreTests().test_raw_a_collection_dropped_meanwhile_says_so_whatever_is_asked(store(Ghost))
