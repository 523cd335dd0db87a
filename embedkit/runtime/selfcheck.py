"""Whether a loaded encoder keeps a bundle's promises on this machine, and how long it takes."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from embedkit.runtime.frontends.template import Text
from embedkit.vectors.values import Values, equal, largest_difference, nearness, scale

if TYPE_CHECKING:
    from embedkit.encoders.encoder import Encoder

GOLDEN_TOLERANCE = 0.005
"""How much worse than where it was exported a variant's cosine with its golden vectors may be on another machine."""

FP32_MAX_ABS = 1e-4
"""The largest difference between a number of an fp32 vector and the golden one (times the largest golden number, where
that is over 1: vectors that are not of unit length are rounded at their own scale)."""

_ROUNDS = 3
_LONGEST = 512
_FEW_TEXTS = 16
_BUDGETS = (1, 300, 1 << 14)


def worst_cosine(encoder: Encoder, role: str = "default", count: int | None = None) -> float:
    """The least nearness (`values.nearness`: of dense vectors the cosine) between the first ``count`` golden values of a
    role and what the encoder makes of their texts, of all outputs."""
    texts, golden = encoder.bundle.golden()
    few = {name: values[: len(texts[:count])] for name, values in golden[role].items()}
    return worst_nearness(encoder, role, texts[:count], few)


def worst_nearness(encoder: Encoder, role: str, texts: Sequence[str], golden: Mapping[str, Values]) -> float:
    """The least nearness of what the encoder makes of the texts to the values by output."""
    found = encoder._towers[role].values(encoder.fill(texts, role), encoder.token_budget)
    kinds = encoder.outputs(role)
    return min(
        float(nearness(found[name], expected, kinds[name].kind).min(initial=1.0)) for name, expected in golden.items()
    )


def broken_promise(encoder: Encoder, variant: str) -> str:
    """What an encoder does not keep of what the bundle promises of ``variant``, as the end of a sentence; empty where
    it keeps all: the golden vectors as near as they were at the export, and vectors that do not depend on what a text is
    encoded with."""
    texts, golden = encoder.bundle.golden()
    seen = set()
    for role, expected in golden.items():
        items = encoder.fill(texts, role)
        graph = encoder.bundle.tower(role).graph
        assert graph is not None
        promised = variant if variant in graph.variants else "fp32"
        if promised == "fp32":
            found = encoder._towers[role].values(items, encoder.token_budget)
            for output, values in expected.items():
                if not largest_difference(found[output], values) < FP32_MAX_ABS * max(1.0, scale(values)):
                    return "it does not give the golden vectors"
        else:
            worst, least = worst_cosine(encoder, role), graph.variants[promised].golden_cosine_min
            if not worst >= least:
                return f"its worst golden cosine is {worst:.4f} and {promised} promises {least:.4f}"
        name = graph.variants[encoder.variant].file
        if name in seen:
            continue
        seen.add(name)
        if not independent(encoder, role, [*items, *encoder.fill(pieces(encoder, texts), role)]):
            return "a vector depends on what is encoded with it"
    return ""


def independent(encoder: Encoder, role: str, items: Sequence[Text]) -> bool:
    """Whether each item gives the same bytes alone, in small batches and in one, and in another order."""
    tower = encoder._towers[role]
    alone, *others = (tower.values(items, budget) for budget in _BUDGETS)
    order = np.random.default_rng(0).permutation(len(items))
    turned = tower.values([items[i] for i in order], encoder.token_budget)
    back = np.argsort(order)
    others.append({name: found[back] for name, found in turned.items()})
    return all(equal(other[name], alone[name]) for other in others for name in alone)


def pieces(encoder: Encoder, texts: Sequence[str]) -> list[str]:
    """Texts of other lengths, up to more words than the model reads (or some hundred), made of the golden ones."""
    words = " ".join(texts).split() or ["text"]
    longest = min(encoder.max_tokens, _LONGEST) + 1
    counts = np.unique(np.geomspace(1, longest, _FEW_TEXTS).astype(int))
    words *= -(-longest // len(words))
    return [" ".join(words[:count]) for count in counts]


def measure(encoders: Mapping[str, Encoder]) -> dict[str, float]:
    """Seconds that each encoder takes for the same texts on all of its threads, measured in turns; the best of some
    rounds, or of one where it was slower than the first encoder then."""
    items = {name: encoder.fill(pieces(encoder, encoder.bundle.golden()[0])) for name, encoder in encoders.items()}
    first = next(iter(encoders))
    best = dict.fromkeys(encoders, float("inf"))
    for number in range(_ROUNDS + 1):
        for name, encoder in encoders.items():
            if number > 1 and best[name] > best[first]:
                continue
            began = time.perf_counter()
            for _, part in encoder._submit("default", items[name], list(encoder.outputs())):
                part.result()
            if number:  # the first lays out memory and chooses kernels
                best[name] = min(best[name], time.perf_counter() - began)
    return best
