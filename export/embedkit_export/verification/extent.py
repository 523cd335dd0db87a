"""How much of a sample an export is calibrated and proved on: all of it for a small model, fewer texts the larger it is.

What a proof costs is the tokens that are read times the weights that each is multiplied by. Up to `WORK` of that all texts
are used; of a larger model as many, in the sample's order, as cost so much, and never fewer than hold `rows_to_find` rows.
A row is one token's numbers in the products: what a fault spoils first, whether of a kernel, a scale or a rounding.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from torch import nn

WORK = 1e12
"""Products of a token with a weight that one proof may cost before texts are left out: a model with 21 million weights
beside its tables reads all of the default sample, of 512 tokens a text at most."""
SHARE = 1 / 1000
"""The share of wrong rows that is found."""
CERTAINTY = 0.95
"""How certainly it is found."""
FEWEST = 32
"""The least texts, whatever they hold: of fewer a worst cosine says little."""
CALIBRATED = 2
"""How many rows of calibration each channel of the widest product has at least: of fewer rounding would fit those alone."""

_Item = TypeVar("_Item")


def rows_to_find(share: float = SHARE, certainty: float = CERTAINTY) -> int:
    """How many rows hold a wrong one with ``certainty``, where a ``share`` of all are wrong, each by itself: the least n
    with 1 - (1 - share)^n >= certainty; 2,995 of one in a thousand at 95 %."""
    return math.ceil(math.log1p(-certainty) / math.log1p(-share))


def weights_of(module: nn.Module) -> int:
    """How many numbers each token is multiplied by: those of all weights but tables, of which it takes one row."""
    tables = {id(part.weight) for part in module.modules() if isinstance(part, nn.Embedding)}
    own = {id(weight): weight.numel() for weight in module.parameters() if weight.ndim > 1 and id(weight) not in tables}
    return sum(own.values())


def widest_of(module: nn.Module) -> int:
    """The channels of the widest input of a product."""
    found: Iterable[Any] = (part.weight.shape[-1] for part in module.modules() if isinstance(part, nn.Linear))
    return max(found, default=0)


def enough(items: Sequence[_Item], rows: Iterable[int], weights: int, *, least: int = 0) -> list[_Item]:
    """The first of the items, each with so many ``rows``, that are enough for a model with so many `weights_of`: those that
    cost `WORK`, and at least `FEWEST` that hold `rows_to_find` rows (and ``least``)."""
    wanted = max(WORK / max(1, weights), rows_to_find(), least)
    out: list[_Item] = []
    held = 0
    for item, count in zip(items, rows, strict=False):
        if held >= wanted and len(out) >= FEWEST:
            break
        out.append(item)
        held += count
    return out
