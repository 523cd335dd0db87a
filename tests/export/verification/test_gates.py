"""The least that a variant must reach, for all or for each."""

from __future__ import annotations

import pytest

from embedkit import InputError
from embedkit_export.verification.gates import Gates, by_variant, from_options


@pytest.mark.parametrize(
    "gates", [{"parity": 0.0}, {"parity": float("nan")}, {"cosine_min": 1.5}, {"top10_overlap": float("nan")}]
)
def test_gates_that_cannot_be(gates: dict[str, float]) -> None:
    with pytest.raises(InputError, match=next(iter(gates))):
        Gates(**gates)


def test_gates_by_variant() -> None:
    own = Gates(cosine_min=0.5)
    assert set(by_variant(None).values()) == {Gates()}
    assert set(by_variant(own).values()) == {own}
    assert by_variant({"w4": own}) == {**by_variant(None), "w4": own}
    assert by_variant({"w4": Gates(), "default": own}) == {**by_variant(own), "w4": Gates()}
    given = {"cosine_min": ["w4=0.9", "0.99", "int8 =0.999"], "labels": ["0.1"]}
    assert from_options(given) == {
        **dict.fromkeys(("fp32", "fp16", "w8"), Gates(cosine_min=0.99, labels=0.1)),
        "int8": Gates(cosine_min=0.999, labels=0.1),
        "w4": Gates(cosine_min=0.9, labels=0.1),
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("int3=0.9", "gate cosine_min: expected one of the variants fp32, .* found 'int3'"),
        ("=0.9", "expected one of the variants"),
        ("int8=", "expected a number, or VARIANT=NUMBER such as int8=0.999, found 'int8='"),
        ("high", "expected a number"),
        ("nan", "expected a number"),
        ("w4=1.5", "gate cosine_min: expected a number from -1 to 1, found 1.5"),
    ],
)
def test_gates_that_cannot_be_read(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        from_options({"cosine_min": [text]})
    with pytest.raises(InputError, match="given twice for w4"):
        from_options({"cosine_min": ["w4=0.9", "w4=0.8"]})
