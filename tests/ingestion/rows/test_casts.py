"""Cells of text as what they stand for."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from embedkit.errors import InputError
from embedkit.ingestion import BadRow, Fields, FileRows
from embedkit.ingestion.rows.casts import typed

TYPES = {"year": "int", "price": "float", "new": "bool", "at": "date", "tags": "json"}


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("2020", "int", 2020),
        (" -7 ", "int", -7),
        ("1e3", "float", 1000.0),
        ("YES", "bool", True),
        ("0", "bool", False),
        ("2024-05-01", "date", date(2024, 5, 1)),
        ("2024-05-01T10:00:00Z", "date", datetime(2024, 5, 1, 10, tzinfo=UTC)),
        ('{"a": [1]}', "json", {"a": [1]}),
        ("  ", "int", None),
        (3, "int", 3),
        (None, "date", None),
    ],
)
def test_what_text_stands_for(text, kind, value):
    assert typed(text, kind) == value
    assert type(typed(text, kind)) is type(value)


@pytest.mark.parametrize(
    ("text", "kind"),
    [("2020.5", "int"), ("x", "float"), ("maybe", "bool"), ("1.5.2024", "date"), ("{", "json"), ("[" * 10_000, "json")],
)
def test_what_stands_for_nothing(text, kind):
    with pytest.raises(ValueError, match=f"is no {kind}"):
        typed(text, kind)


def test_a_table_with_types(tmp_path):
    table = 'id,text,year,price,new,at,tags\n1,one,2020,1.5,true,2024-05-01,"[1, 2]"\n2,two,x,,,,\n3,three,,,,,\n'
    (tmp_path / "t.csv").write_text(table)
    one, two, three = FileRows([tmp_path / "t.csv"], types=TYPES)
    assert one.metadata == {"year": 2020, "price": 1.5, "new": True, "at": date(2024, 5, 1), "tags": [1, 2]}
    assert isinstance(two, BadRow)
    assert (two.id, two.line, two.reason) == ("2", 3, "the field 'year': 'x' is no int")
    assert three.metadata == dict.fromkeys(TYPES)


def test_a_type_that_is_none():
    with pytest.raises(InputError, match="'year': expected one of int, float, bool, date, json, found 'number'"):
        Fields(types={"year": "number"})
