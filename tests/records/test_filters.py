"""Filter expressions: their meaning, their negation, their text form."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedkit.errors import FilterError
from embedkit.records.filters import OPS, ORDERINGS, Combine, Compare, F, Filter, Not, push_down_not, simplified
from embedkit.records.metadata import filterable

FIELDS = st.sampled_from(["x", "y", "z"])
SCALARS = st.one_of(
    st.sampled_from(["", "a", "b", "1", True, False, 0, 1, 1.0, 2, 2.5]), st.integers(-5, 5), st.text(max_size=2)
)
ORDERED = SCALARS.filter(lambda value: not isinstance(value, bool))
METADATA = st.dictionaries(FIELDS, st.one_of(SCALARS, st.none(), st.lists(st.integers(), max_size=2)))


@st.composite
def comparisons(draw) -> Filter:
    field = F(draw(FIELDS))
    op = draw(st.sampled_from(["==", "!=", "<", "<=", ">", ">=", "in", "not in", "exists", "none"]))
    if op in ("exists", "none"):
        return field.exists() if op == "exists" else field.is_none()
    if op in ("in", "not in"):
        values = draw(st.lists(SCALARS, min_size=1, max_size=3))
        return field.is_in(values) if op == "in" else field.not_in(values)
    value = draw(ORDERED if op in ORDERINGS else SCALARS)
    return {
        "==": field.__eq__,
        "!=": field.__ne__,
        "<": field.__lt__,
        "<=": field.__le__,
        ">": field.__gt__,
        ">=": field.__ge__,
    }[op](value)


EXPRESSIONS = st.recursive(
    comparisons(),
    lambda part: st.one_of(
        part.map(Not),
        st.builds(Combine, st.sampled_from(["and", "or"]), st.lists(part, min_size=2, max_size=3).map(tuple)),
    ),
    max_leaves=8,
)


@given(EXPRESSIONS, METADATA)
def test_push_down_not_keeps_the_meaning(expression, metadata):
    pushed = push_down_not(expression)
    assert pushed.matches(metadata) == expression.matches(metadata)
    assert pushed.matches(metadata) != push_down_not(~expression).matches(metadata)


@given(EXPRESSIONS)
def test_push_down_not_leaves_not_over_orderings_and_presence_only(expression):
    def check(node: Filter) -> None:
        if isinstance(node, Not):
            assert isinstance(node.part, Compare)
            assert node.part.op in ORDERINGS | {"exists", "none"}
        elif isinstance(node, Combine):
            for part in node.parts:
                check(part)

    pushed = push_down_not(expression)
    check(pushed)
    assert push_down_not(pushed) == pushed
    assert {leaf.field for leaf in pushed.leaves()} == {leaf.field for leaf in expression.leaves()}


@given(EXPRESSIONS, EXPRESSIONS, METADATA)
def test_operators_are_boolean_algebra(a, b, metadata):
    assert (a & b).matches(metadata) == (a.matches(metadata) and b.matches(metadata))
    assert (a | b).matches(metadata) == (a.matches(metadata) or b.matches(metadata))
    assert (~a).matches(metadata) == (not a.matches(metadata))
    assert (a & b).ops() == a.ops() | b.ops() | {"and"} <= OPS
    assert list((a | b).leaves()) == [*a.leaves(), *b.leaves()]


@pytest.mark.parametrize(
    ("expression", "metadata", "expected"),
    [
        (F("x") == 1, {"x": 1.0}, True),
        (F("x") == 1.0, {"x": 1}, True),
        (F("x") == 1, {"x": True}, False),
        (F("x") == True, {"x": 1}, False),  # noqa: E712
        (F("x") == "1", {"x": 1}, False),
        (F("x") == 1, {}, False),
        (F("x") != 1, {}, True),
        (F("x") != 1, {"x": "a"}, True),
        (F("x") != 1, {"x": 1}, False),
        (F("x") < 2, {"x": 1}, True),
        (F("x") < 2, {}, False),
        (F("x") < 2, {"x": "1"}, False),
        (F("x") < 2, {"x": True}, False),
        (F("x") < "b", {"x": "a"}, True),
        (F("x") >= 2.5, {"x": 3}, True),
        (F("x").is_in([1, "a"]), {"x": "a"}, True),
        (F("x").is_in([1, "a"]), {"x": True}, False),
        (F("x").not_in([1, "a"]), {}, True),
        (F("x") == np.int64(3), {"x": 3}, True),
        (F("x") >= date(2024, 1, 1), {"x": datetime(2024, 1, 1)}, True),
        (F("x") == datetime(2024, 1, 1, 2, tzinfo=timezone(timedelta(hours=2))), {"x": date(2024, 1, 1)}, True),
        (F("x") > datetime(2024, 1, 1, tzinfo=UTC), {"x": datetime(2024, 1, 1, 0, 0, 0, 1)}, True),
        (F("x") < date(2024, 1, 1), {"x": "2023-01-01"}, False),
        (F("x") == 2**53, {"x": 2**53 + 1}, False),
        (F("x") == None, {"x": None}, True),  # noqa: E711
        (F("x") == None, {}, False),  # noqa: E711
        (F("x") == None, {"x": float("nan")}, False),  # noqa: E711
        (F("x") != None, {}, True),  # noqa: E711
        (F("x") != None, {"x": None}, False),  # noqa: E711
        (F("x").is_in([None, 1]), {"x": None}, True),
        (F("x").is_in([None, 1]), {"x": 1}, True),
        (F("x").is_in([None, 1]), {}, False),
        (F("x").is_in([None]), {"x": None}, True),
        (F("x").is_in([]), {"x": 1}, False),
        (F("x").not_in([]), {"x": 1}, True),
        (F("x").not_in([]), {}, True),
        (F("x").not_in([None, 1]), {}, True),
        (F("x").not_in([None, 1]), {"x": None}, False),
        (F("x").not_in([None, 1]), {"x": 1}, False),
        (F("x").exists(), {"x": None}, True),
        (F("x").exists(), {"x": {}}, True),
        (F("x").exists(), {"x": float("nan")}, True),
        (F("x").exists(), {"y": 1}, False),
        (~F("x").exists(), {"y": 1}, True),
    ],
)
def test_meaning(expression, metadata, expected):
    assert expression.matches(filterable(metadata)) is expected


ONE, TWO, NOWHERE, EVERYWHERE = F("x") == 1, F("y") > 2, F("x").is_in([]), F("x").not_in([])


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        (ONE, ONE),
        (NOWHERE, False),
        (EVERYWHERE, True),
        (~NOWHERE, True),
        (~EVERYWHERE & ONE, False),
        (ONE & TWO & EVERYWHERE, ONE & TWO),
        (ONE | (TWO & NOWHERE), ONE),
        (~((ONE & NOWHERE) | ~TWO), ~~TWO),
        (EVERYWHERE & ~NOWHERE, True),
        (ONE | EVERYWHERE, True),
        (NOWHERE | NOWHERE, False),
    ],
)
def test_simplified(expression, expected):
    assert simplified(expression) == expected


@pytest.mark.parametrize(
    "make",
    [
        lambda: F(""),
        lambda: F(1),
        lambda: F("x") == [1],
        lambda: F("x") == float("nan"),
        lambda: F("x") < float("inf"),
        lambda: F("x") < True,
        lambda: F("x") == 2**63,
        lambda: F("x").is_in("abc"),
        lambda: F("x") < None,
        lambda: F("x").not_in(1),
        lambda: (F("x") == 1) & True,
        lambda: (F("x") == 1) and (F("y") == 2),
        lambda: bool(F("x") == 1),
    ],
)
def test_what_is_refused(make):
    with pytest.raises(FilterError):
        make()


def test_a_long_chain_is_shallow():
    whole = F("x") == 0
    for i in range(1, 5_000):
        whole = whole | (F("x") == i)
    assert whole.matches({"x": 4_999})
    assert not push_down_not(~whole).matches({"x": 4_999})
    assert len(list(whole.leaves())) == 5_000
    assert (F("x") == 1) & ((F("y") == 2) & (F("z") == 3)) == Combine("and", (F("x") == 1, F("y") == 2, F("z") == 3))


def test_an_integer_of_thousands_of_digits_is_refused():
    with pytest.raises(FilterError, match="an integer of at most 64 bits"):
        F("x") == 10**5000


def test_an_array_of_no_dimension_is_no_list_of_values():
    with pytest.raises(FilterError, match="take a list of values"):
        F("x").is_in(np.array("a"))
