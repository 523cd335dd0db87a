"""Rows whose vectors follow from a number, so that they are printed in a line."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from embedkit.records.batch import RecordBatch
from embedkit.stores.contract import Capabilities, CollectionSpec, Metric
from embedkit.vectors.arrays import FloatArray
from embedkit.vectors.multivector import MultiVectors
from embedkit.vectors.sparse import SparseVectors

DIM, WORDS, TOKEN = 4, 30_522, 3
_SPREAD = 2_777
"""Between two words that are used."""


@dataclass(frozen=True)
class Setting:
    """What a collection is made for: ``kinds`` of d(ense), s(parse) and m(ultivector)."""

    kinds: str
    metric: Metric
    negative: bool = True
    max_id_bytes: int | None = None

    @classmethod
    def of(cls, caps: Capabilities, rng: random.Random) -> Setting:
        """One that the store can keep."""
        more = "s" * caps.sparse + "m" * caps.multivector
        some = "".join(kind for kind in more if rng.random() < 0.5)
        kinds = ("d" if rng.random() < 0.8 or not some else "") + some
        metric = rng.choice(sorted(caps.metrics)) if "d" in kinds else "cosine"
        return cls(kinds, metric, caps.negative_weights, caps.max_id_bytes)

    def spec(self, name: str) -> CollectionSpec:
        """The collection of this name."""
        return CollectionSpec(
            name,
            DIM if "d" in self.kinds else 0,
            self.metric,
            "fuzzed",
            WORDS if "s" in self.kinds else 0,
            TOKEN if "m" in self.kinds else 0,
        )


@dataclass(frozen=True)
class Row:
    """A row; its vectors follow from ``seed``."""

    id: str
    text: str
    metadata: dict[str, Any]
    seed: int

    @property
    def hash(self) -> str:
        """Stands for what its content gives."""
        return f"hash {self.seed}"


def dense(seed: int, *, asked: bool = False) -> FloatArray:
    """(DIM,) numbers: often those of others, or small ones; at times all zero, unless it is asked with."""
    rng = np.random.default_rng([1, seed])
    if seed % 89 == 0 and not asked:
        return np.zeros(DIM, np.float32)
    if seed % 3 == 0:
        return np.asarray([[1, 0, 0, 0], [1, 2, -1, 0.5], [-3, 0, 0.25, 1]][seed % 9 // 3], np.float32)
    if seed % 3 == 1:
        return np.asarray([*rng.integers(-8, 9, DIM - 1) / 4, 0.25], np.float32)
    return rng.normal(0, rng.choice([0.01, 1, 50]), DIM).astype(np.float32)


def words(seed: int, *, negative: bool, asked: bool = False) -> dict[int, float]:
    """Weights by words: multiples of a quarter, whose products are exact; at times none, unless it is asked with."""
    rng = np.random.default_rng([2, seed])
    count = int(rng.integers(1 if asked else 0, 7))
    weights = rng.integers(1, 13, count) / 4 * (rng.choice([1, 1, -1], count) if negative else 1)
    chosen = rng.choice(10, count, replace=False) * _SPREAD
    return dict(zip(chosen.tolist(), weights.tolist(), strict=True))


def several(seed: int, *, asked: bool = False) -> FloatArray:
    """(k, TOKEN) small numbers; at times of no token, unless it is asked with."""
    rng = np.random.default_rng([3, seed])
    count = 0 if seed % 83 == 0 and not asked else int(rng.integers(1, 5))
    return np.asarray(rng.integers(-8, 9, (count, TOKEN)) / 4, np.float32)


def dense_of(seeds: Sequence[int], *, asked: bool = False) -> FloatArray:
    """(n, DIM) float32."""
    return np.stack([dense(seed, asked=asked) for seed in seeds]) if seeds else np.empty((0, DIM), np.float32)


def sparse_of(seeds: Sequence[int], *, negative: bool, asked: bool = False) -> SparseVectors:
    """The words of each."""
    rows = [words(seed, negative=negative, asked=asked) for seed in seeds]
    return SparseVectors.of_rows([(list(row), list(row.values())) for row in rows], WORDS)


def several_of(seeds: Sequence[int], *, asked: bool = False) -> MultiVectors:
    """The tokens of each."""
    return MultiVectors.of([several(seed, asked=asked) for seed in seeds], TOKEN)


def batch_of(rows: Sequence[Row], setting: Setting) -> RecordBatch:
    """The rows as a store gets them; of the stores that take no weight below 0, one in so many has one all the same."""
    seeds = [row.seed for row in rows]
    return RecordBatch(
        [row.id for row in rows],
        dense_of(seeds) if "d" in setting.kinds else np.empty((len(rows), 0), np.float32),
        [row.text for row in rows],
        [row.metadata for row in rows],
        [row.hash for row in rows],
        sparse=sparse_of(seeds, negative=setting.negative) if "s" in setting.kinds else None,
        multivectors=several_of(seeds) if "m" in setting.kinds else None,
    )
