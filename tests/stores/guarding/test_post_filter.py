"""Filters that a store cannot answer: asked for weakly, finished exactly, against `Filter.matches` over all rows."""

from __future__ import annotations

import itertools
import operator
import random
import uuid
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedkit.errors import FilterError
from embedkit.records.batch import RecordBatch
from embedkit.records.filters import OPS, ORDERINGS, Combine, Compare, F, Filter, Not
from embedkit.records.metadata import filterable
from embedkit.stores.contract import Capabilities, CollectionSpec, StoreURL
from embedkit.stores.guarded import GuardedCollection, GuardedStore
from embedkit.stores.guarding.post_filter import answers, pushed_down
from embedkit.stores.memory import open_store
from embedkit.testing.samples import FILTER_ROWS, LARGE, comparison, random_filter

CAPS = st.builds(
    lambda ops, orders_text: Capabilities(filter_ops=frozenset(ops), orders_text=orders_text),
    st.sets(st.sampled_from(sorted(OPS))),
    st.booleans(),
)
EXPRESSIONS = st.integers(0, 2**32).map(lambda seed: random_filter(random.Random(seed)))


def checked(caps: Capabilities, expression: Filter | None) -> None:
    """That the expression is one that the store says it answers."""
    assert expression is None or answers(caps, expression), expression


class Limited:
    """The memory store's collection, refusing what ``caps`` does not declare."""

    def __init__(self, inner, caps: Capabilities) -> None:
        self.inner, self.caps, self.info = inner, caps, inner.info
        self.asked: list[Filter | None] = []

    def __getattr__(self, name):
        def call(*args, filter=None, **options):
            checked(self.caps, filter)
            self.asked.append(filter)
            return getattr(self.inner, name)(*args, **({"filter": filter} if filter is not None else {}), **options)

        return call

    def count(self, filter=None):
        checked(self.caps, filter)
        return self.inner.count(filter)


def limited(caps: Capabilities) -> GuardedCollection:
    store = GuardedStore(open_store(StoreURL.parse(f"memory:{uuid.uuid4()}")))
    docs = store.ensure(CollectionSpec("docs", 4))
    n = len(FILTER_ROWS)
    vectors = np.random.default_rng(0).normal(size=(n, 4)).astype(np.float32)
    docs.upsert(RecordBatch([f"{i:03}" for i in range(n)], vectors, [""] * n, FILTER_ROWS, ["h"] * n))
    inner = Limited(docs.inner, caps)
    return GuardedCollection(inner, caps, docs._lock)  # type: ignore[arg-type]


def expected(expression: Filter) -> list[str]:
    return [f"{i:03}" for i, row in enumerate(FILTER_ROWS) if expression.matches(filterable(row))]


@given(CAPS, EXPRESSIONS)
def test_the_weaker_filter_holds_wherever_the_whole_does(caps, expression):
    weak = pushed_down(caps, expression)
    checked(caps, weak)
    for row in FILTER_ROWS:
        fields = filterable(row)
        assert weak is None or weak.matches(fields) or not expression.matches(fields)


@pytest.mark.parametrize("op", sorted(ORDERINGS))
@pytest.mark.parametrize("value", LARGE)
def test_the_order_of_large_integers_is_widened_for_stores_that_round_them(op, value):
    compare = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
    whole = comparison("x", op, value)
    assert pushed_down(Capabilities(), whole) == whole
    rounding = Capabilities(orders_integers=False)
    weak = pushed_down(rounding, whole)
    assert isinstance(weak, Compare)
    assert (weak == whole) == answers(rounding, whole) == (abs(value) < 2**53)
    for row in LARGE:
        for kept, asked in itertools.product((row, float(row)), (weak.value, float(weak.value))):  # rounded, or not
            assert compare[weak.op](kept, asked) or not whole.matches({"x": row})
    assert pushed_down(replace(rounding, filter_ops=OPS - ORDERINGS), whole) is None


@given(CAPS, EXPRESSIONS)
def test_every_method_is_exact_whatever_the_store_lacks(caps, expression):
    docs = limited(replace(caps, max_batch_rows=5))
    ids = expected(expression)
    assert docs.count(expression) == len(ids)
    found, cursor = [], None
    while True:
        page = docs.scan(filter=expression, cursor=cursor, limit=7)
        assert len(page.records) <= 7
        found += [record.id for record in page.records]
        cursor = page.cursor
        if cursor is None:
            break
    assert sorted(found) == ids
    for k in (1, 3, 100):
        hits = docs.query(np.eye(4), k, filter=expression)
        everything = docs.query(np.eye(4), 1000)
        for got, ranked in zip(hits, everything, strict=True):
            assert [hit.id for hit in got] == [hit.id for hit in ranked if hit.id in ids][:k]
    assert docs.delete(filter=expression) == len(ids)
    assert docs.count() == len(FILTER_ROWS) - len(ids)


def test_a_store_that_answers_all_is_asked_the_whole():
    docs = limited(Capabilities())
    expression = ~(F("x") < 1) | (F("y") == "a")
    docs.count(expression)
    docs.scan(filter=expression)
    assert docs.inner.asked == [expression]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("expression", "weak"),
    [
        ((F("x") > "a") & (F("y") == 1), F("y") == 1),
        ((F("x") > "a") | (F("y") == 1), None),
        (~((F("x") > "a") | (F("y") == 1)), F("y") != 1),
        (~(F("x") > "a"), None),
        ((F("x") > 1) & (F("x") > "a") & (F("y") == 1), (F("x") > 1) & (F("y") == 1)),
        (F("x").exists() & (F("y") == 1), F("y") == 1),
    ],
)
def test_what_is_asked(expression, weak):
    def flat(node: Filter | None) -> Filter | None:
        if isinstance(node, Combine):
            parts = [flat(part) for part in node.parts]
            joined = [
                p
                for part in parts
                for p in (part.parts if isinstance(part, Combine) and part.op == node.op else [part])
            ]
            return Combine(node.op, tuple(joined))  # type: ignore[arg-type]
        assert node is None or isinstance(node, Compare | Not)
        return node

    caps = Capabilities(filter_ops=OPS - {"exists", "not"}, orders_text=False)
    assert flat(pushed_down(caps, expression)) == flat(weak)


def test_what_is_no_filter_is_refused():
    with pytest.raises(FilterError, match="dict"):
        limited(Capabilities()).count({"x": 1})  # type: ignore[arg-type]
