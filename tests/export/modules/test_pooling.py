"""Pooling of padded rows; the reference is each row alone, without its padding."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from embedkit_export.modules.pooling import AttentionPool, Pool

LENGTHS = (4, 2, 3)


def rows(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Token vectors, ids and mask of three texts."""
    hidden = torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(seed))
    mask = (torch.arange(5) < torch.tensor(LENGTHS)[:, None]).float()
    return hidden, torch.tensor([[1, 9, 2, 9, 0], [9, 1, 0, 0, 0], [1, 2, 9, 0, 0]]), mask


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("first", lambda x: x[0]),
        ("last", lambda x: x[-1]),
        ("max", lambda x: x.max(0)),
        ("mean", lambda x: x.mean(0)),
        ("weighted_mean", lambda x: np.average(x, axis=0, weights=np.arange(1, len(x) + 1))),
        ("mean_sqrt_length", lambda x: x.sum(0) / np.sqrt(len(x))),
    ],
)
def test_a_mode_is_what_numpy_makes_of_the_row_alone(mode: str, expected: Any) -> None:
    hidden, ids, mask = rows()
    found = Pool(mode)(hidden, ids, mask, mask)
    assert torch.equal(found[:, 0], found[:, 1])
    for i, length in enumerate(LENGTHS):
        np.testing.assert_allclose(found[i, 0], expected(hidden[i, :length].numpy()), rtol=1e-5, atol=1e-6)


def test_the_mask_token_that_is_pooled_is_the_last() -> None:
    hidden, ids, mask = rows()
    found = Pool("mask", mask_id=9)(hidden, ids, mask, mask)
    assert torch.equal(found[:, 0], hidden[torch.arange(3), torch.tensor([3, 0, 2])])


def test_the_first_is_the_first_that_is_not_left_out() -> None:
    hidden, ids, mask = rows()
    kept = mask.clone()
    kept[:, 0] = 0
    assert torch.equal(Pool("first")(hidden, ids, mask, kept)[:, 0], hidden[:, 1])
    whole = Pool("mean", padding=True)(hidden, ids, mask, kept)
    torch.testing.assert_close(whole[:, 0], hidden.mean(1))


@pytest.mark.parametrize("joined", [False, True])
def test_attention_is_torchs(joined: bool) -> None:
    hidden, _, mask = rows()
    torch.manual_seed(1)
    latent, q, k, v, out = torch.randn(1, 4), *(torch.randn(4, 4) for _ in range(4))
    weights = {"latent": latent, "to_q.weight": q, "to_k.weight": k, "to_v.weight": v, "to_out.weight": out}
    if joined:
        weights["to_kv.weight"] = torch.cat([weights.pop("to_k.weight"), weights.pop("to_v.weight")])
    found = AttentionPool(weights, 2)(hidden, mask)
    for i, length in enumerate(LENGTHS):
        seen = hidden[i, :length]
        heads = [part.reshape(-1, 2, 2).transpose(0, 1) for part in (latent @ q.T, seen @ k.T, seen @ v.T)]
        expected = functional.scaled_dot_product_attention(*heads).transpose(0, 1).reshape(1, 4) @ out.T
        torch.testing.assert_close(found[i], expected.expand(2, -1), rtol=1e-4, atol=1e-5)
