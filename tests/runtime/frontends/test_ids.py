"""Sequences of ids: what is one, what is refused, how it is cut and padded."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from embedkit import InputError
from embedkit.bundle.manifest import IdsFrontend
from embedkit.runtime.frontends.base import Unencodable
from embedkit.runtime.frontends.ids import IdsModality

SIZE = 90


def made(**options: Any) -> IdsModality:
    return IdsModality(IdsFrontend(**{"size": SIZE, "max": 4, **options}), [])


def tensors(modality: IdsModality, items: list[list[int]]) -> dict[str, np.ndarray]:
    """Those of the only batch."""
    checked = [modality.check(item, "x") for item in items]
    (batch,) = modality.open(lambda name: pytest.fail(name)).batches(checked, 1000, lambda lengths, longest: lengths)
    found = batch.tensors(len(items))
    return {name: value[np.argsort(batch.rows)] for name, value in found.items()} | {
        "truncated": batch.truncated[np.argsort(batch.rows)]
    }


@pytest.mark.parametrize(
    ("value", "is_one"),
    [
        ("1 2", True),
        ([1, 2], True),
        ((1,), True),
        (np.array([1, 2], np.uint8), True),
        ([np.int32(3)], True),
        ([], False),
        ([[1, 2]], False),
        ([True], False),
        (["1"], False),
        (b"12", False),
        (np.array([[1]]), False),
        (np.array([1.0]), False),
        (7, False),
    ],
)
def test_what_is_one_sequence(value: object, is_one: bool) -> None:
    assert made().is_item(value) is is_one


@pytest.mark.parametrize("value", [[1, 2, 89], (1, 2, 89), np.array([1, 2, 89], np.uint8), "1, 2 89", "+1\t2,89"])
def test_a_checked_sequence_is_checked_again_to_the_same(value: Any) -> None:
    modality = made()
    found = modality.check(value, "x")
    assert (found.dtype, found.tolist()) == (np.int64, [1, 2, 89])
    assert modality.check(found, "x").tolist() == [1, 2, 89]
    assert modality.key(found) == modality.key(modality.check([1, 2, 89], "x")) != modality.key(found[::-1].copy())
    assert modality.of_row("1 2 89", {"n": 1}) == [1, 2, 89]


@pytest.mark.parametrize(
    ("keep", "pad", "row", "cut"),
    [
        ("last", "right", [5, 6, 0, 0], [2, 3, 4, 5]),
        ("first", "left", [0, 0, 5, 6], [1, 2, 3, 4]),
    ],
)
def test_cut_and_padded_on_the_side_that_is_said(keep: str, pad: str, row: list[int], cut: list[int]) -> None:
    found = tensors(made(keep=keep, pad=pad), [[5, 6], [1, 2, 3, 4, 5]])
    assert found["ids"].tolist() == [row, cut]
    assert found["mask"].tolist() == [[int(number > 0) for number in row], [1, 1, 1, 1]]
    assert found["truncated"].tolist() == [False, True]


def test_a_fixed_length() -> None:
    assert tensors(made(length=6, pad_id=9), [[1]])["ids"].tolist() == [[1, 9, 9, 9, 9, 9]]


def test_an_empty_sequence_has_no_vector() -> None:
    modality = made()
    with pytest.raises(Unencodable) as error:
        modality.open(lambda name: pytest.fail(name)).batches(
            [modality.check("1", "x"), modality.check("", "x")], 10, lambda lengths, longest: lengths
        )
    assert (error.value.number, error.value.reason) == (1, "it has no id, so it has no vector")


def test_words_are_named_as_they_stand() -> None:
    with pytest.raises(InputError, match="sequence 4: expected a sequence of integers, found '²' in it"):
        made().check("1 ²", "sequence 4")
