from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedkit.system.files.jsonlines import json_object, kind_of
from embedkit.system.files.lines import NotText, Unreadable

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=2), inner, max_size=3),
    max_leaves=6,
)


@given(values, st.booleans())
def test_objects_are_read_and_others_named(value, ascii):
    raw = json.dumps(value, ensure_ascii=ascii).encode() + b"\r\n"
    if isinstance(value, dict):
        assert json_object(raw) == value
    else:
        with pytest.raises(Unreadable, match=f"expected a JSON object, found {kind_of(value)}"):
            json_object(raw)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "broken JSON"),
        (b'{"a": 1', "broken JSON: .*column"),
        (b'{"a": 1} {"b": 2}', "broken JSON: Extra data"),
        (b'{"a":' * 100_000, "broken JSON: .*recursion"),
        (b'{"a": ' + b"9" * 10_000 + b"}", "broken JSON: Exceeds the limit"),
        (b'{"a": "\xff"}', "not valid UTF-8: byte 0xff at 7"),
        (b"3", "found a number"),
        (b"null", "found null"),
        (b"[{}]", "found a list"),
    ],
)
def test_hostile_lines(raw, reason):
    with pytest.raises(Unreadable, match=reason) as refused:
        json_object(raw)
    assert isinstance(refused.value, NotText) == reason.startswith("not valid")
