"""What all parts of a manifest keep to."""

from __future__ import annotations

import msgspec
import pytest

from embedkit.bundle.frontends.base import Choice, Frontend
from embedkit.bundle.manifest import IdsFrontend, ImageFrontend, Part, TextFrontend, Truncate


def test_unknown_fields_are_refused_and_defaults_are_not_written() -> None:
    with pytest.raises(msgspec.ValidationError, match="unknown field"):
        msgspec.convert({"field": "a", "values": {"x": 1}, "other": 1}, Choice)
    assert msgspec.json.encode(Choice(field="a", values={"x": 1})) == b'{"field":"a","values":{"x":1}}'


def test_a_default_is_one_of_the_values() -> None:
    with pytest.raises(ValueError, match="one of `values`"):
        Choice(field="a", values={"x": 1}, default="y")


@pytest.mark.parametrize(
    "made",
    [
        TextFrontend(tokenizer="t", template=[Part(field="text")], truncate=Truncate(max=8)),
        IdsFrontend(size=9, max=4),
        ImageFrontend(size=[8, 8]),
    ],
)
def test_each_kind_is_a_frontend(made: object) -> None:
    assert isinstance(made, Frontend)
    assert msgspec.json.decode(msgspec.json.encode(made))["kind"] == made.kind
