"""Whether a loaded bundle keeps its promises on this machine, and how long it takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from embedkit.vectors.values import Values, equal, largest_difference, nearness, scale

from .frontends.base import Item
from .loaded import LoadedBundle, of_golden

GOLDEN_TOLERANCE = 0.005
"""How much worse than where it was exported a variant's cosine with its golden vectors may be on another machine."""

FP32_MAX_ABS = 1e-4
"""The largest difference between a number of an fp32 vector and the golden one (times the largest golden number, where
that is over 1: vectors that are not of unit length are rounded at their own scale)."""

_CANARIES = 4
_ROUNDS = 3
_LONGEST = 512
_FEW_TEXTS = 16
_BUDGETS = (1, 300, 1 << 14)


@dataclass(frozen=True, slots=True)
class Dependence:
    """Rows of an output (by number) whose values depend on what they are computed with, and by how much at most."""

    output: str
    rows: list[int]
    change: float


Compute = Callable[[Sequence[Item], int], Mapping[str, Values]]
"""The values of items by output, in batches of so many token slots."""


def dependence(
    items: Sequence[Item],
    compute: Compute,
    budgets: Sequence[int] = _BUDGETS,
    *,
    expected: Mapping[str, Values] | None = None,
) -> Dependence | None:
    """The first output whose values are not the same bytes in every batch: in the given order (unless ``expected`` are the
    values already) and in another, by each budget, of which a small one computes each item alone. None where all are."""
    order = np.random.default_rng(0).permutation(len(items))
    back = np.argsort(order)
    turned_items = [items[i] for i in order]
    whole = compute(items, max(budgets)) if expected is None else expected
    for budget in budgets:
        turned = compute(turned_items, budget)
        for name, values in whole.items():
            found: Values = turned[name][back]
            differ = [i for i in range(len(items)) if not equal(found[i : i + 1], values[i : i + 1])]
            if differ:
                return Dependence(name, differ, largest_difference(found, values))
    return None


def worst_nearness(loaded: LoadedBundle, role: str, *, count: int | None = None) -> float:
    """The least nearness (`values.nearness`: of dense vectors the cosine) of what is made of the first golden items to their
    golden values, over all outputs."""
    golden = loaded.bundle.golden().values[role]
    items = loaded.golden_items(role, count)
    with of_golden(loaded.bundle):
        found = loaded.values(role, items)
    kinds = loaded.towers[role].outputs
    worst = [
        nearness(found[name], expected[: len(items)], kinds[name].kind).min(initial=1.0)
        for name, expected in golden.items()
    ]
    return float(np.min(worst))  # numpy's, by which NaN is the least


def agrees(loaded: LoadedBundle, variant: str) -> bool:
    """Whether the first golden items get the vectors here that ``variant`` promises."""
    worst = worst_nearness(loaded, "default", count=_CANARIES)
    return worst >= loaded.promised("default", variant).golden_cosine_min - GOLDEN_TOLERANCE


def broken_promise(loaded: LoadedBundle, variant: str) -> str:
    """What a loaded bundle does not keep of what its manifest promises of ``variant``, as the end of a sentence; empty
    where it keeps all: the golden vectors as near as they were at the export, and vectors that do not depend on what an
    item is encoded with."""
    golden = loaded.bundle.golden()
    seen = set()
    for role, expected in golden.values.items():
        items = loaded.golden_items(role)
        promise = loaded.promised(role, variant)
        if promise is loaded.promised(role, "fp32"):
            with of_golden(loaded.bundle):
                found = loaded.values(role, items)
            for output, values in expected.items():
                if not largest_difference(found[output], values) < FP32_MAX_ABS * max(1.0, scale(values)):
                    return "it does not give the golden vectors"
        else:
            worst, least = worst_nearness(loaded, role), promise.golden_cosine_min
            if not worst >= least:
                return f"its worst golden cosine is {worst:.4f} and {variant} promises {least:.4f}"
        file = loaded.promised(role, loaded.setup.variant).file
        if file in seen:
            continue
        seen.add(file)
        items = [*items, *pieces(loaded, golden.texts, role)]
        budgets = (*_BUDGETS, loaded.setup.token_budget)
        if dependence(items, lambda items, budget, role=role: loaded.values(role, items, budget=budget), budgets):  # type: ignore[misc]
            return "a vector depends on what is encoded with it"
    return ""


def pieces(loaded: LoadedBundle, texts: Sequence[str], role: str = "default") -> list[Item]:
    """Checked items of other lengths, up to more words than the model reads (or some hundred), made of golden ``texts``; of a role
    that reads no texts its golden items."""
    if role in loaded.bundle.golden().inputs:
        return loaded.golden_items(role)
    words = " ".join(texts).split() or ["text"]
    longest = min(loaded.bundle.tower(role).frontend.longest, _LONGEST) + 1
    counts = np.unique(np.geomspace(1, longest, _FEW_TEXTS).astype(int))
    words *= -(-longest // len(words))
    return loaded.fill(role, [" ".join(words[:count]) for count in counts])


def measure(rivals: Mapping[str, LoadedBundle]) -> dict[str, float]:
    """Seconds that each takes for the same texts on all of its threads, measured in turns; the best of some rounds, or of
    one where it was slower than the first then."""
    items = {name: pieces(loaded, loaded.bundle.golden().texts) for name, loaded in rivals.items()}
    first = next(iter(rivals))
    best = dict.fromkeys(rivals, float("inf"))
    for number in range(_ROUNDS + 1):
        for name, loaded in rivals.items():
            if number > 1 and best[name] > best[first]:
                continue
            began = time.perf_counter()
            loaded.computed("default", items[name])
            if number:  # the first lays out memory and chooses kernels
                best[name] = min(best[name], time.perf_counter() - began)
    return best
