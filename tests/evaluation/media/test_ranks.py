from __future__ import annotations

from itertools import pairwise, permutations

import numpy as np
import pytest

from embedkit.evaluation.media.ranks import among_first


def by_all_orders(scores: np.ndarray, right: list[int], k: int) -> float:
    """The share of the orders, of those by falling score, in which one that is right is among the first."""
    orders = [p for p in permutations(range(len(scores))) if all(scores[a] >= scores[b] for a, b in pairwise(p))]
    return sum(any(i in right for i in p[:k]) for p in orders) / len(orders)


@pytest.mark.parametrize("seed", range(12))
def test_it_is_the_share_of_all_orders(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 3, 6).astype(np.float32)
    right = rng.permutation(6)[: 1 + seed % 3].tolist()
    for k in range(1, 7):
        assert among_first(scores, right, k) == pytest.approx(by_all_orders(scores, right, k))
