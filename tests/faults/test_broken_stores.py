"""The comparison of stores with a dictionary finds a fault of any kind within so many sequences, and says it in a few steps."""

from __future__ import annotations

from typing import Any

import pytest

from embedkit.stores.guarded import GuardedStore
from embedkit.stores.memory import MemoryCollection
from helpers import slow
from helpers.broken_stores import FAULTS, BrokenStore
from helpers.differential.running import Place

SEQUENCES, OPERATIONS = 60, 60
QUICK = {
    "a row of a filter is lost",
    "a delete is lost",
    "one hit fewer than k",
    "integers are rounded",
    "ids are stripped",
}


def broken(kind: type[MemoryCollection]) -> Place:
    collections: dict[str, Any] = {}

    def opening(url: str) -> GuardedStore:
        store = BrokenStore(collections)
        store.kind = kind
        return GuardedStore(store)

    return Place("memory:broken", opening)


@pytest.mark.parametrize("fault", slow.but(QUICK, FAULTS))
def test_a_fault_is_found(fault: str) -> None:
    place, whole = broken(FAULTS[fault]), broken(MemoryCollection)
    for seed in range(SEQUENCES):
        setting, operations = place.drawn(seed, OPERATIONS)
        if place.failure(operations, setting):
            assert not whole.failure(operations, setting), "the store is right, and the comparison is not"
            return
    pytest.fail(f"not found in {SEQUENCES} sequences")


def test_the_report_has_the_steps_that_are_needed_and_no_others() -> None:
    report = broken(FAULTS["a delete is lost"]).search(range(SEQUENCES), OPERATIONS, elsewhere=False)
    seed, *steps = report.partition("\nat ")[0].splitlines()
    assert "EMBEDKIT_SEED=" in seed
    assert [step.strip().partition("(")[0] for step in steps[:2]] == ["Upsert", "Delete"]
    assert len(steps) <= 4, report
