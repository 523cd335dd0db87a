"""How vectors lie in their space, judged without a task."""

from __future__ import annotations

import numpy as np

from .nearness import Vectors64, blocks

MOST = 10_000
"""Vectors whose pairs are all looked at; of more, so many are drawn with a fixed seed."""


def alignment(a: Vectors64, b: Vectors64) -> Vectors64:
    """(n,) squared distances of n pairs that belong together, (n, dim) each of unit length. Their mean is the alignment
    of Wang and Isola (2020, *Understanding Contrastive Representation Learning through Alignment and Uniformity on the
    Hypersphere*, with alpha = 2): 0 to 4, and lower is better."""
    return np.asarray(np.square(a - b).sum(axis=1))


def uniformity(vectors: Vectors64) -> float:
    """The logarithm of the mean of exp(-2 d^2) over all pairs of the (n, dim) vectors of unit length, d their distance:
    the uniformity of Wang and Isola (2020, with t = 2). 0 where all are equal, and lower is better. NaN for fewer than
    two vectors."""
    vectors = _drawn(vectors)
    n = len(vectors)
    if n < 2:
        return float("nan")
    total = 0.0
    for rows in blocks(n):
        # Of unit vectors d^2 is 2 - 2 cos; rounding may not carry it below 0.
        squares = np.maximum(2.0 - 2.0 * (vectors[rows] @ vectors.T), 0.0)
        total += float(np.exp(-2.0 * squares).sum())
    return float(np.log(max(total - n, np.finfo(float).tiny) / (n * (n - 1))))


def isotropy(vectors: Vectors64) -> float:
    """The least over the greatest partition function Z(c), the sum of exp(c . v) over the (n, dim) vectors v of unit
    length, where c are the eigenvectors of the products' matrix and their opposites: the measure of Mu and Viswanath
    (2018, *All-but-the-Top*), after Arora et al. (2016). 0 to 1, and 1 is the same in all directions."""
    _, directions = np.linalg.eigh(vectors.T @ vectors)
    along = vectors @ directions
    partitions = np.concatenate([np.exp(along).sum(axis=0), np.exp(-along).sum(axis=0)])
    return float(partitions.min() / partitions.max())


def _drawn(vectors: Vectors64) -> Vectors64:
    if len(vectors) <= MOST:
        return vectors
    return vectors[np.sort(np.random.default_rng(0).choice(len(vectors), MOST, replace=False))]
