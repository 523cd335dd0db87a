"""A role's items through its graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from embedkit.bundle.manifest import IdsFrontend, Input, Output
from embedkit.errors import DeviceError
from embedkit.runtime.engines.base import Session
from embedkit.runtime.frontends.base import Unencodable
from embedkit.runtime.frontends.ids import IdsModality
from embedkit.runtime.tower import Tower

INPUTS = [Input(name="x", dtype="int32", source="ids"), Input(name="m", dtype="float32", source="mask")]
ITEMS = [[5], [1, 2, 3], [7, 7], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]]


class Sums(Session):
    """(rows, 2): the sum of a row's ids, and how many there are; rows are filled up to multiples of four."""

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []

    def run(self, inputs: Mapping[str, Any], outputs: Sequence[str]) -> list[np.ndarray]:
        assert {name: array.dtype for name, array in inputs.items()} == {"x": np.int32, "m": np.float32}
        self.shapes.append(inputs["x"].shape)
        found = np.stack([(inputs["x"] * inputs["m"]).sum(axis=1), inputs["m"].sum(axis=1)], axis=1)
        made = {"dense": found.astype(np.float32), "tokens": inputs["x"][:, :, None].astype(np.float32)}
        return [made[name] for name in outputs]

    def rows(self, count: int) -> int:
        return -(-count // 4) * 4


@pytest.fixture
def tower() -> Tower:
    modality = IdsModality(IdsFrontend(size=50, max=8), INPUTS)
    outputs = {"dense": Output(kind="dense", dim=2), "tokens": Output(kind="tokens", dim=1)}
    return Tower(modality, modality.open(lambda name: pytest.fail(name)), Sums(), INPUTS, outputs)


@pytest.mark.parametrize("budget", [1, 6, 1000])
def test_values_in_the_given_order_whatever_the_batches(tower: Tower, budget: int) -> None:
    items = [tower.modality.check(item, "x") for item in ITEMS]
    found = tower.values(items, budget)
    read = [item[-8:] for item in ITEMS]
    assert found["dense"].tolist() == [[sum(item), len(item)] for item in read]  # type: ignore[union-attr]
    assert [found["tokens"][i].ravel().tolist() for i in range(len(read))] == read  # type: ignore[union-attr]
    assert list(tower.values(items, budget, ["dense"])) == ["dense"]
    assert all(rows % 4 == 0 for rows, _ in tower.session.shapes)  # type: ignore[attr-defined]


def test_a_batch_is_counted_without_the_rows_that_fill_it(tower: Tower) -> None:
    items = [tower.modality.check(item, "x") for item in ITEMS]
    results = [(batch.rows, tower.run(batch)) for batch in tower.prepare(items, 1)]
    assert sum(result.tokens for _, result in results) == 1 + 3 + 2 + 8
    assert {int(row): bool(cut) for rows, r in results for row, cut in zip(rows, r.truncated, strict=True)} == {
        0: False,
        1: False,
        2: False,
        3: True,
    }
    assert all(len(result.values["dense"]) == len(rows) for rows, result in results)


class Fails(Sums):
    """Cannot compute a row that holds a 7, as an engine says it; nor several rows at once."""

    alone = False

    def run(self, inputs: Mapping[str, Any], outputs: Sequence[str]) -> list[np.ndarray]:
        if (inputs["x"] == 7).any() or (self.alone and len(np.unique(inputs["x"], axis=0)) > 1):
            raise RuntimeError("[Engine]: 2 :\n  indices out of bounds")
        return super().run(inputs, outputs)


def test_an_engine_that_fails_names_the_row(tower: Tower) -> None:
    tower.session = Fails()
    items = [tower.modality.check(item, "x") for item in ([5], [1, 2, 3], [7, 7], [4, 6])]
    for budget in (1, 1000):
        with pytest.raises(
            Unencodable, match=r"the graph cannot compute .*\[Engine\]: 2 : indices out of bounds"
        ) as caught:
            tower.values(items, budget)
        assert caught.value.number == 2
        (batch,) = tower.prepare(items, 1000)
        with pytest.raises(Unencodable) as caught:
            tower.run(batch)
        assert batch.rows[caught.value.number] == 2


def test_rows_that_fail_together_only_are_computed_alone(tower: Tower) -> None:
    items = [tower.modality.check([i, 1], "x") for i in (9, 8, 5)]
    expected = tower.values(items, 1000)
    tower.session = Fails()
    tower.session.alone = True
    found = tower.values(items, 1000)
    assert found["dense"].tobytes() == expected["dense"].tobytes()  # type: ignore[union-attr]
    assert [found["tokens"][i].tolist() for i in range(3)] == [expected["tokens"][i].tolist() for i in range(3)]  # type: ignore[union-attr]


def test_errors_of_our_own_pass(tower: Tower) -> None:
    class Gone(Sums):
        def run(self, inputs: Mapping[str, Any], outputs: Sequence[str]) -> list[np.ndarray]:
            raise DeviceError("the device is gone")

    tower.session = Gone()
    with pytest.raises(DeviceError, match="the device is gone"):
        tower.values([tower.modality.check([1], "x"), tower.modality.check([2], "x")], 1000)
