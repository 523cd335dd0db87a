"""Heads on token vectors; the reference is numpy on each text alone."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from embedkit_export.modules import heads
from embedkit_export.modules.vocabulary import Run

IDS = torch.tensor([[3, 5, 3, 0], [4, 6, 0, 0]])
MASK = torch.tensor([[1.0, 1, 1, 0], [1, 1, 0, 0]])


def run(vectors: torch.Tensor | None = None) -> Run:
    hidden = torch.randn(2, 4, 6, generator=torch.Generator().manual_seed(2))
    kept = MASK.clone()
    kept[:, 0] = 0
    return Run({"input_ids": IDS, "attention_mask": MASK.long()}, hidden, MASK, kept, vectors)


def test_a_token_has_its_largest_weight() -> None:
    torch.manual_seed(0)
    layer, words = nn.Linear(6, 1), torch.ones(9)
    words[6] = 0
    given = run()
    found = heads.TokenWeights(layer, words, scale=2.0)(given).detach().numpy()
    expected = np.zeros((2, 9))
    single = layer(given.hidden)[:, :, 0].detach().numpy()
    for row, place in zip(*np.nonzero(given.pool_mask.numpy()), strict=True):
        token = int(IDS[row, place])
        expected[row, token] = max(expected[row, token], 2 * single[row, place] * float(words[token]))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_the_words_of_the_last_token() -> None:
    torch.manual_seed(0)
    layer, given = nn.Linear(6, 9), run()
    head = heads.WordWeights(None, layer, pooling="last", twice=True, scale=3.0, own=True)
    assert head.takes_pool_mask
    found = head(given).detach().numpy()
    logits = layer(given.hidden[[0, 1], [2, 1]]).detach().numpy()
    expected = 3 * np.log1p(np.log1p(np.maximum(logits, 0)))
    own = np.zeros((2, 9))
    own[0, [5, 3]] = own[1, 6] = 1
    np.testing.assert_allclose(found, expected * own, rtol=1e-5, atol=1e-6)


def test_classes_of_vectors_are_those_of_one_copy() -> None:
    torch.manual_seed(0)
    layer, vectors = nn.Linear(6, 3), torch.randn(2, 6)
    found = heads.VectorLogits(layer)(run(vectors[:, None].expand(-1, 2, -1)))
    torch.testing.assert_close(found, layer(vectors))
