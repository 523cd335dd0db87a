"""Scores of pairs of stored vectors, by a head that was trained for it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from embedkit.bundle.folder import Bundle
from embedkit.bundle.manifest import MANIFEST
from embedkit.errors import BundleError, InputError
from embedkit.runtime.engines.base import compute
from embedkit.runtime.engines.selection import DEFAULT, check_engine, choose_device, open_session
from embedkit.runtime.options import LoadOptions
from embedkit.system.processes import cpu_count
from embedkit.vectors.arrays import FloatArray

_ROWS = 1024
"""Pairs that are scored at a time."""


class Scorer:
    """Scores two texts by their vectors alone, as the model's own head for pairs does (DSE, Barkan et al. 2020): the vectors
    may come from a store. Several threads may share one.

    A pair's score is the same, bit for bit, whatever it is scored together with. ``outputs`` is how many numbers a pair gets.
    """

    def __init__(self, bundle: Bundle, options: LoadOptions | None = None) -> None:
        self.bundle = bundle
        found = [(name, scorer) for name, scorer in bundle.manifest.scorers.items() if scorer.graph is not None]
        if not found:
            raise InputError(
                "this bundle has no head for pairs of vectors; give one in the recipe (`pair`), or compare vectors with "
                "Encoder.similarity"
            )
        name, scorer = found[0]
        options = options or LoadOptions()
        check_engine(options.engine)
        engine = DEFAULT if options.engine == "auto" else options.engine
        device = choose_device(options.device, engine)
        threads = options.threads or cpu_count()
        self._session = open_session(bundle.head_path(name), engine=engine, device=device, threads=threads)
        role, _, output = scorer.left.partition(".")
        self._where = f"{bundle.folder / MANIFEST}: scorers.{name}.graph"
        self.dim = bundle.tower(role).outputs[output].dim
        self.outputs = self._run(np.zeros((1, self.dim), np.float32), np.zeros((1, self.dim), np.float32)).shape[1]

    @classmethod
    def load(
        cls, path: str | os.PathLike[str], *, device: str = "auto", engine: str = "auto", threads: int | None = None
    ) -> Self:
        """Load the head of a bundle; ``device``, ``engine`` and ``threads`` are those of `Encoder.load`, and so are the
        errors; `InputError` where the bundle has no such head."""
        return cls(Bundle.open(path), LoadOptions(device=device, engine=engine, threads=threads))

    def score(self, left: npt.ArrayLike, right: npt.ArrayLike) -> FloatArray:
        """(n,) float32, or (n, outputs) where a pair gets several numbers: each row of ``left`` (n, dim) with the same row of
        ``right`` (n, dim)."""
        a, b = self._vectors("left", left), self._vectors("right", right)
        if len(a) != len(b):
            raise InputError(f"expected as many rows on both sides, found {len(a)} and {len(b)}")
        parts = [self._run(a[i : i + _ROWS], b[i : i + _ROWS]) for i in range(0, len(a), _ROWS)]
        found = np.concatenate(parts) if parts else np.empty((0, self.outputs), np.float32)
        return found[:, 0] if self.outputs == 1 else found

    def similarity(self, left: npt.ArrayLike, right: npt.ArrayLike) -> FloatArray:
        """(n, m) float32, or (n, m, outputs): each row of ``left`` (n, dim) with each of ``right`` (m, dim)."""
        a, b = self._vectors("left", left), self._vectors("right", right)
        rows = [self.score(np.broadcast_to(row, b.shape), b) for row in a]
        shape = (0, len(b)) if self.outputs == 1 else (0, len(b), self.outputs)
        return np.stack(rows) if rows else np.empty(shape, np.float32)

    def _vectors(self, side: str, given: npt.ArrayLike) -> FloatArray:
        found = np.asarray(given, dtype=np.float32)
        if found.ndim != 2 or found.shape[1] != self.dim or not np.isfinite(found).all():
            raise InputError(
                f"{side}: expected finite vectors of shape (n, {self.dim}), found the shape {found.shape}, or NaN"
            )
        return found

    def _run(self, left: FloatArray, right: FloatArray) -> FloatArray:
        given: Mapping[str, Any] = {"left": np.ascontiguousarray(left), "right": np.ascontiguousarray(right)}
        found = compute(self._session, given, ["score"], self._where)[0]
        if found.ndim != 2 or len(found) != len(left) or not found.shape[1]:
            raise BundleError(
                f"{self._where}: expected the shape ({len(left)}, outputs), found {found.shape}; export the bundle again"
            )
        return found
