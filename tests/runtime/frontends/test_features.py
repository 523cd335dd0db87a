"""Arrays of numbers: what is one, what is refused, how they are put together."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from embedkit import BundleError, InputError
from embedkit.bundle.manifest import FeaturesFrontend, Input
from embedkit.runtime.frontends.features import FeaturesModality


def made(*shape: Any, **options: Any) -> FeaturesModality:
    return FeaturesModality(FeaturesFrontend(shape=list(shape), **options), [])


def tensors(modality: FeaturesModality, items: list[Any], count: int | None = None) -> dict[str, np.ndarray]:
    checked = [modality.check(item, "x") for item in items]
    (batch,) = modality.open(lambda name: pytest.fail(name)).batches(checked, 1 << 30, None)
    found = batch.tensors(count or len(items))
    order = [*np.argsort(batch.rows), *range(len(items), count or len(items))]
    return {name: value[order] for name, value in found.items()}


@pytest.mark.parametrize(
    ("shape", "value", "is_one"),
    [
        ((3,), [1, 2, 3], True),
        ((3,), np.zeros(3), True),
        ((3,), [[1, 2, 3]], False),
        ((3,), np.zeros((2, 3)), False),
        (("any", 2), [[1, 2]], True),
        (("any", 2), [[[1, 2]]], False),
        (("any", 2), np.zeros((5, 2)), True),
        (("any", 2), "[[1, 2]]", True),
        (("any", 2), [], False),
        (("any", 2), [["a"]], False),
        (("any", 2), 7, False),
    ],
)
def test_what_is_one_array(shape: tuple[Any, ...], value: object, is_one: bool) -> None:
    assert made(*shape).is_item(value) is is_one


@pytest.mark.parametrize(
    "value", [[[1, 2], [3, 4.5]], np.array([[1, 2], [3, 4.5]], np.float16), "[[1, 2], [3, 4.5]]", ((1, 2), (3, 4.5))]
)
def test_a_checked_array_is_checked_again_to_the_same(value: Any) -> None:
    modality = made("any", 2)
    found = modality.check(value, "x")
    assert (found.dtype, found.tolist()) == (np.float32, [[1, 2], [3, 4.5]])
    again = modality.check(found, "x")
    assert again.tobytes() == found.tobytes()
    assert modality.key(found) == modality.key(again) != modality.key(found[::-1].copy())
    assert modality.key(found) != modality.key(found.reshape(1, 4))
    assert modality.cost(np.zeros((100, 100), np.float32)) > modality.cost(found)


@pytest.mark.parametrize(
    ("shape", "options", "value", "problem"),
    [
        (
            (2, 3),
            {},
            np.zeros((3, 2)),
            r"x: expected numbers of the shape \(2, 3\) for float32, found the shape \(3, 2\)",
        ),
        ((2,), {}, np.zeros((1, 2)), r"shape \(2,\) for float32, found the shape \(1, 2\)"),
        (("any", 2), {"max": 3}, np.zeros((4, 2)), r"shape \(1 to 3, 2\).*found the shape \(4, 2\)"),
        (("any", 2), {}, np.zeros((0, 2)), r"found the shape \(0, 2\)"),
        (("any", 2), {}, [[1, 2], [3]], "rows of several lengths"),
        (("any", 2), {}, [[1, "2"]], "found list"),
        (("any", 2), {}, "two numbers", "found list"),
        (("any", 2), {}, None, "found NoneType"),
        (("any", 2), {}, [[True, False]], "of bool"),
        (("any", 2), {}, [[1, float("nan")]], "NaN or infinity"),
        (("any", 2), {}, [[1e300, 0]], "beyond float32"),
        ((2,), {"dtype": "uint8"}, [1, 256], "beyond uint8"),
        ((2,), {"dtype": "uint8"}, [-1, 2], "beyond uint8"),
        ((2,), {"dtype": "int64"}, [1.0, 2.0], "found the shape"),
        (("any", 4), {"boxes": "image"}, [[0, 0, 5, 5], [5, 0, 5, 5]], "box 1: expected left, top, right, bottom"),
        (("any", 4), {"boxes": "image"}, [[0, 7, 5, 5]], "box 0: expected left, top, right, bottom"),
    ],
)
def test_what_is_no_such_array_is_named(shape: tuple[Any, ...], options: Any, value: Any, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        made(*shape, **options).check(value, "x")


def test_rows_of_any_number_are_filled_up() -> None:
    items = [[[1, 2]], [[3, 4], [5, 6], [7, 8]]]
    found = tensors(made("any", 2), items, 3)
    assert found["features"].tolist() == [
        [[1, 2], [0, 0], [0, 0]],
        [[3, 4], [5, 6], [7, 8]],
        [[0, 0], [0, 0], [0, 0]],
    ]
    assert found["mask"].tolist() == [[1, 0, 0], [1, 1, 1], [1, 0, 0]]
    assert found["length"].tolist() == [1, 3, 1]
    alone = tensors(made("any", 2), items[:1])
    assert alone["features"].shape == (1, 2, 2), "never one row: a product with one sums in another order"
    assert alone["mask"].tolist() == [[1, 0]]


def test_rows_of_one_number_and_vectors_are_put_together() -> None:
    assert tensors(made(2, 2), [[[1, 2], [3, 4]]] * 2)["features"].shape == (2, 2, 2)
    found = tensors(made(2, dtype="int32"), [[1, 2], [3, 4]], 3)
    assert set(found) == {"features"}
    assert (found["features"].dtype, found["features"].tolist()) == (np.int32, [[1, 2], [3, 4], [0, 0]])


def test_a_batch_keeps_the_budget() -> None:
    rng = np.random.default_rng(0)
    items = [rng.normal(size=(n, 3)).astype(np.float32) for n in rng.integers(1, 40, 50)]
    batches = made("any", 3).open(lambda name: pytest.fail(name)).batches(items, 100, None)
    assert sorted(row for batch in batches for row in batch.rows) == list(range(50))
    assert all(len(batch.rows) * max(len(items[i]) for i in batch.rows) <= 100 for batch in batches)
    assert sum(batch.tokens for batch in batches) == sum(map(len, items))


@pytest.mark.parametrize(
    ("shape", "items"), [(("any", 2), [[[1, 2]], [[3, 4], [5, 6]]]), ((1, 2), [[[1, 2]]] * 2), ((2,), [[1, 2], [3, 4]])]
)
def test_golden_arrays_are_restored(shape: tuple[Any, ...], items: list[Any]) -> None:
    modality = made(*shape)
    checked = [modality.check(item, "x") for item in items]
    restored = modality.restored(modality.prepared(checked))
    assert [one.tolist() for one in restored] == [one.tolist() for one in checked]
    with pytest.raises(InputError, match="expected features"):
        modality.restored({"pixels": np.zeros(1)})


def test_a_row_of_a_table_is_its_text() -> None:
    assert made(2).check(made(2).of_row("[1, 2]", {}), "x").tolist() == [1, 2]


def test_an_input_of_another_source_is_refused() -> None:
    with pytest.raises(BundleError, match="expected one of features, length, mask, pool_mask"):
        FeaturesModality(FeaturesFrontend(shape=[2]), [Input(name="x", dtype="float32", source="pixels")])
