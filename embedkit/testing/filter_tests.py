"""The conformance cases of filters: each operator, as `Filter.matches` answers; a part of `StoreTests`."""

from __future__ import annotations

import random

import pytest

from embedkit.errors import FilterError, InputError
from embedkit.records.filters import ORDERINGS, F, Filter, Not, push_down_not, simplified
from embedkit.records.metadata import Metadata, filterable
from embedkit.stores.contract import Collection, VectorStore
from embedkit.stores.guarded import GuardedCollection
from embedkit.stores.guarding.post_filter import answers

from .samples import (
    FILTER_FIELDS,
    FILTER_NUMBERS,
    FILTER_ROWS,
    FILTER_VALUES,
    LARGE,
    comparison,
    expected_ids,
    matching,
    random_filter,
    scanned,
    text_batch,
    unit_vectors,
)


class FilterTests:
    """Filters: each operator, as `Filter.matches` answers."""

    @pytest.fixture
    def filtered(self, docs: GuardedCollection) -> GuardedCollection:
        """A collection of ``FILTER_ROWS`` with their positions as ids."""
        docs.upsert(text_batch([str(i) for i in range(len(FILTER_ROWS))], metadata=FILTER_ROWS))
        return docs

    @pytest.mark.parametrize("op", ["==", "!=", "<", "<=", ">", ">=", "in", "not in"])
    def test_every_comparison(self, filtered: GuardedCollection, op: str) -> None:
        for field in FILTER_FIELDS:
            for value in FILTER_NUMBERS if op in ORDERINGS else FILTER_VALUES:
                _check_filter(filtered, comparison(field, op, [value, "never"] if op in ("in", "not in") else value))
        if op in ("in", "not in"):
            _check_filter(filtered, comparison("x", op, [1, "1", True, 2.5, "absent"]))
            _check_filter(filtered, comparison("x", op, []))

    @pytest.mark.parametrize("field", FILTER_FIELDS)
    def test_presence(self, filtered: GuardedCollection, field: str) -> None:
        for expression in (F(field).exists(), F(field).is_none(), F(field).is_in([None, 2])):
            _check_filter(filtered, expression)
            _check_filter(filtered, ~expression)
            _check_filter(filtered, expression & (F("y") == "a"))
            _check_filter(filtered, ~expression | (F("x") > 1))

    @pytest.mark.parametrize("op", sorted(ORDERINGS))
    def test_order_of_text(self, filtered: GuardedCollection, op: str) -> None:
        for value in ("", "1", "B", "a", "Ä", "2024-05-01", "🎉"):
            _check_filter(filtered, comparison("x", op, value))

    @pytest.mark.parametrize("op", sorted(ORDERINGS))
    def test_order_of_large_numbers(self, docs: GuardedCollection, op: str) -> None:
        docs.upsert(text_batch([str(i) for i in range(len(LARGE))], metadata=[{"x": value} for value in LARGE]))
        for value in LARGE:
            expression = comparison("x", op, value)
            for whole in (expression, ~expression, expression & (F("x") > 0), expression | (F("x") == 1)):
                expected = {str(i) for i, row in enumerate(LARGE) if whole.matches(filterable({"x": row}))}
                assert {record.id for record in docs.scan(filter=whole, limit=100).records} == expected, whole
                assert docs.count(whole) == len(expected), whole

    @pytest.mark.parametrize("op", ["==", "!=", "in", "not in"])
    def test_equality_of_large_numbers(self, docs: GuardedCollection, op: str) -> None:
        rows: list[Metadata] = [{"x": value} for value in LARGE] + [{"x": 2**63}, {"x": "9223372036854775808"}, {}]
        docs.upsert(text_batch([str(i) for i in range(len(rows))], metadata=rows))
        for value in LARGE:
            expression = comparison("x", op, [value, 1.5, "never"] if op in ("in", "not in") else value)
            for whole in (expression, ~expression, expression & (F("x") > 0)):
                expected = {str(i) for i, row in enumerate(rows) if whole.matches(filterable(row))}
                assert matching(docs, whole) == expected, whole
                assert docs.count(whole) == len(expected), whole

    def test_no_row_beside_a_large_number_is_deleted(self, docs: GuardedCollection) -> None:
        rows: list[Metadata] = [{"x": value} for value in (2**63 - 1, 2**63 - 2, 2.0**63, 2**53, 2**53 + 1, 1)]
        for which in (F("x").is_in([2**63 - 1, 2**53 + 1]), F("x").not_in([2**63 - 1, 2**53]), F("x") <= 2**63 - 1):
            docs.upsert(text_batch([str(i) for i in range(len(rows))], metadata=rows))
            docs.delete(filter=which)
            kept = {str(i) for i, row in enumerate(rows) if not which.matches(filterable(row))}
            assert {record.id for record in scanned(docs)} == kept, which

    def test_random_expressions(self, filtered: GuardedCollection) -> None:
        for seed in range(60):
            _check_filter(filtered, random_filter(random.Random(seed)))

    def test_filters_on_every_method(self, filtered: GuardedCollection) -> None:
        expression = (F("x") == 2) | (F("y") == "a")
        expected = expected_ids(expression)
        assert {hit.id for hit in filtered.query(unit_vectors(1), 100, filter=expression)[0]} == expected
        assert filtered.count(expression) == len(expected)
        assert {record.id for record in scanned(filtered, expression, limit=2)} == expected
        assert filtered.delete(filter=expression) in (len(expected), None)
        assert {record.id for record in scanned(filtered)} == {str(i) for i in range(len(FILTER_ROWS))} - expected
        assert filtered.delete(filter=expression) in (0, None)
        with pytest.raises(InputError):
            filtered.delete()
        with pytest.raises(InputError):
            filtered.delete(ids=["1"], filter=expression)
        with pytest.raises(FilterError):
            filtered.count({"x": 2})  # type: ignore[arg-type]
        for limit in (0, -1, True, 1.5, None):
            with pytest.raises(InputError):
                filtered.scan(limit=limit)  # type: ignore[arg-type]

    def test_an_empty_list_of_values(self, filtered: GuardedCollection) -> None:
        none, all_ = F("x").is_in([]), F("x").not_in([])
        n = len(FILTER_ROWS)
        assert [len(hits) for hits in filtered.query(unit_vectors(2), 5, filter=none)] == [0, 0]
        assert [len(hits) for hits in filtered.query(unit_vectors(2), 5, filter=all_)] == [5, 5]
        assert (filtered.count(none), filtered.count(all_)) == (0, n)
        assert matching(filtered, none | (F("y") == "a")) == matching(filtered, all_ & (F("y") == "a")) != set()
        assert filtered.delete(filter=none) in (0, None)
        assert filtered.count() == n
        assert filtered.delete(filter=all_) in (n, None)
        assert filtered.count() == 0

    # Raw: the plugin by itself

    def test_raw_filters_are_exact_within_the_capabilities(self, raw_store: VectorStore, raw_docs: Collection) -> None:
        caps = raw_store.caps
        _fill(raw_store, raw_docs)
        presence = [check(F(field)) for field in FILTER_FIELDS for check in (F.exists, F.is_none)]
        compared = [
            comparison(field, op, value)
            for field in ("x", "a.b")
            for op in ("==", "!=", "<", "<=", ">", ">=")
            for value in (2, 2.5, True, "a", "Ä", 2**53 + 1)
            if op not in ORDERINGS or not isinstance(value, bool)
        ]
        listed = [comparison("x", op, [1, "1", True, 2.5]) for op in ("in", "not in")]
        drawn = [random_filter(random.Random(seed)) for seed in range(1000, 1060)]
        asked = 0
        for whole in [*presence, *compared, *listed, *drawn, *(Not(one) for one in (*presence, *compared))]:
            some = simplified(whole)
            if isinstance(some, bool):
                continue
            expression = some if "not" in caps.filter_ops else push_down_not(some)
            if not answers(caps, expression):
                continue
            asked += 1
            expected = expected_ids(expression)
            assert raw_docs.count(expression) == len(expected), expression
            assert matching(raw_docs, expression) == expected, expression
            assert {hit.id for hit in raw_docs.query(unit_vectors(1), 100, filter=expression)[0]} == expected, (
                expression
            )
        assert asked or not caps.filter_ops

    def test_raw_rows_are_deleted_by_a_filter(self, raw_store: VectorStore, raw_docs: Collection) -> None:
        if not {"==", "or"} <= raw_store.caps.filter_ops:
            pytest.skip("declared: no filter of this kind")
        _fill(raw_store, raw_docs)
        expression = (F("x") == 2) | (F("y") == "a")
        expected = expected_ids(expression)
        assert raw_docs.delete(filter=expression) in (len(expected), None)
        assert {record.id for record in scanned(raw_docs)} == {str(i) for i in range(len(FILTER_ROWS))} - expected
        assert raw_docs.delete(filter=expression) in (0, None)


def _fill(store: VectorStore, docs: Collection) -> None:
    for start in range(0, len(FILTER_ROWS), store.caps.max_batch_rows):
        part = FILTER_ROWS[start : start + store.caps.max_batch_rows]
        docs.upsert(text_batch([str(start + i) for i in range(len(part))], metadata=part))


def _check_filter(docs: GuardedCollection, expression: Filter) -> None:
    """The store, with what embedkit finishes above it, answers as `Filter.matches` does."""
    assert matching(docs, expression) == expected_ids(expression), expression
    assert docs.count(expression) == len(expected_ids(expression)), expression
