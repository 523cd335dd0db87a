"""Checks of what is handed in: what they give back, and what their messages tell."""

from __future__ import annotations

from collections import deque

import numpy as np
import pytest

from embedkit.checks import boolean, check_id, check_text, integer, items_of, one_of, positive, printed
from embedkit.errors import InputError, OptionError


@pytest.mark.parametrize("value", [1, 7, 10**30])
def test_a_positive_integer_is_given_back(value):
    assert positive("k", value) is value


@pytest.mark.parametrize("value", [0, -1, True, False, 1.0, "1", None, float("nan"), [1]])
def test_what_is_no_positive_integer_is_refused_by_its_name(value):
    with pytest.raises(OptionError) as caught:
        positive("top_k", value)
    assert str(caught.value) == f"top_k: expected a positive integer, found {value!r}"


@pytest.mark.parametrize(
    ("value", "least", "most", "fits"),
    [
        (0, 0, None, True),
        (-1, 0, None, False),
        (5, 1, 5, True),
        (6, 1, 5, False),
        (1, 1, 5, True),
        (0, 1, 5, False),
        (True, 0, None, False),
        (2.0, 0, 5, False),
        (None, 0, 5, False),
    ],
)
def test_an_integer_is_within_its_bounds(value, least, most, fits):
    if fits:
        assert integer("dim", value, least=least, most=most) is value
        return
    wanted = f"of at least {least}" if most is None else f"from {least} to {most}"
    with pytest.raises(OptionError) as caught:
        integer("dim", value, least=least, most=most)
    assert str(caught.value) == f"dim: expected an integer {wanted}, found {value!r}"


def test_one_of_what_is_allowed():
    assert one_of("metric", "dot", ("cosine", "dot")) == "dot"
    for value in ("", "Dot", "do", None, 1, ["dot"]):
        with pytest.raises(OptionError) as caught:
            one_of("metric", value, iter(("cosine", "dot")))
        assert str(caught.value) == f"metric: expected one of cosine, dot, found {value!r}"


@pytest.mark.parametrize("value", ["", "a\0b", "\ud800", 7, None, b"a"])
def test_what_can_be_no_id(value):
    with pytest.raises(InputError, match="^row 3: "):
        check_id(value, "row 3")


def test_text_may_be_empty_and_hold_nul_where_that_is_allowed():
    assert (check_text(""), check_text("a\0"), check_id("ä")) == ("", "a\0", "ä")
    with pytest.raises(InputError, match=r"U\+D800 at character 1"):
        check_text("a\ud800")
    with pytest.raises(InputError, match="NUL character at 1"):
        check_text("a\0", allow_nul=False)


@pytest.mark.parametrize("bad", ["", None, 1, b"x", "\ud800", "a\0"])
def test_ids_that_are_refused(bad):
    with pytest.raises(InputError):
        check_id(bad)


def test_text_that_is_refused():
    assert check_text("a\0") == "a\0"
    for bad in (None, 1, b"x", "ok\udfff"):
        with pytest.raises(InputError):
            check_text(bad)
    with pytest.raises(InputError, match=r"U\+D800 at character 2"):
        check_text("ab\ud800")


def test_a_value_that_cannot_be_shown_is_refused_all_the_same():
    class Hidden:
        def __repr__(self):
            raise KeyError("no")

    assert printed("a") == "'a'"
    assert printed(Hidden()) == "a value of the type Hidden"
    with pytest.raises(OptionError, match="k: expected an integer from 0 to 5, found a value of the type int"):
        integer("k", 10**5000, least=0, most=5)


class Keyed:
    """What iterates over its keys, and is registered as no mapping."""

    def keys(self):
        return ["a"]

    def __iter__(self):
        return iter(["a"])


@pytest.mark.parametrize(
    "given",
    [
        [],
        ["a"],
        ("a",),
        np.array(["a"]),
        np.zeros((2, 3)),
        (text for text in "ab"),
        {"a": 1}.values(),
        {"a": 1}.keys(),
        deque("a"),
    ],
)
def test_several_items_are_given_back(given):
    assert items_of("texts", given) is given


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("abc", "found str; put one string in a list"),
        (b"abc", "found bytes; put one"),
        (bytearray(b"abc"), "found bytearray; put one"),
        (7, "found int; put one"),
        (None, "found NoneType; put one"),
        ({"text": "a"}, "found dict, which gives its keys"),
        (Keyed(), "found Keyed, which gives its keys"),
        (np.array("a"), "found ndarray; put one"),
        ({"a", "b"}, "found set, which has no order"),
        (frozenset("a"), "found frozenset, which has no order"),
    ],
)
def test_what_only_can_be_iterated_is_refused(given, found):
    with pytest.raises(InputError, match="texts: expected a string or an iterable of strings, " + found):
        items_of("texts", given)


def test_a_word_is_no_truth():
    assert boolean("sync", False) is False
    for given in ("no", 1, None, []):
        with pytest.raises(OptionError, match="sync: expected True or False"):
            boolean("sync", given)


def test_the_rows_of_an_ingest_may_come_in_any_order():
    assert items_of("documents", {"a", "b"}, "document", ordered=False) == {"a", "b"}
    with pytest.raises(InputError, match="documents: expected an iterable of documents, found str; put one document"):
        items_of("documents", "docs.jsonl", "document", ordered=False)


def test_data_frames_are_refused():
    pandas = pytest.importorskip("pandas")
    arrow = pytest.importorskip("pyarrow")
    frame = pandas.DataFrame({"text": ["a"], "n": [1]})
    for given in (frame, arrow.table({"text": ["a"]}), arrow.record_batch({"text": ["a"]})):
        with pytest.raises(InputError, match="which gives the names of its columns; give one column"):
            items_of("texts", given)
    for given in (frame["text"], frame["text"].to_numpy(), frame.to_dict("records"), arrow.array(["a"]), frame.index):
        assert items_of("texts", given) is given
