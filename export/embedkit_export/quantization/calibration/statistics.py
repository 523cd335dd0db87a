"""What the inputs of the quantisable products look like on typical texts, gathered one text and one piece of the graph at a time."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
from scipy.linalg.blas import ssyrk

from embedkit_export.tensors import Feed, Floats

from .pieces import Piece, pieces
from .sessions import opened, tapped

SAMPLE_ROWS = 1024
"""Rows of each input that are kept as they are."""
SECOND_MOMENT_BYTES = 3 << 30
"""Most memory for second moments in a piece; inputs met after that have only their kept rows."""
ROOM = 1 << 28
"""Bytes of weights and statistics from which the graph goes on in another piece."""
_ROWS_AT_ONCE = 2048
"""Rows that wait for one large product: of thin ones, adding up costs as much as multiplying."""


@dataclass(frozen=True)
class Statistics:
    """The rows x (k numbers each) of one value over the calibration texts."""

    peak: Floats
    """(k,) max|x| of each channel."""
    sample: Floats
    """(up to `SAMPLE_ROWS`, k) rows, equally many of each text."""
    second: Floats | None = None
    """(k, k) mean of the outer product x x^T of the rows, each divided by its root mean square (see `levels`); None
    where it would not fit into memory."""

    def moment(self) -> Floats:
        """(k, k) the second moment, from the kept rows where there is no other."""
        if self.second is not None:
            return self.second
        even = self.sample / levels(self.sample)
        return np.asarray(even.T @ even / max(1, len(even)), np.float32)


def levels(rows: Floats) -> Floats:
    """(m, k) -> (m, 1) root mean square of each row. What follows a product is normalised token by token, so that the
    error of a token counts relative to its size: a few tokens have inputs a hundred times as large as the others."""
    return np.asarray(np.sqrt(np.square(rows).mean(axis=1, keepdims=True) + 1e-20), np.float32)


def calibrate(model: ir.Model, feeds: Sequence[Feed], widths: Mapping[str, int]) -> Iterator[tuple[str, Statistics]]:
    """(name, `Statistics`) of values while the graph runs ``feeds``, in the order in which it makes them; ``widths`` names them, with
    the numbers that a row of each has.

    Each feed holds every graph input by name, for one text (a padded token would be counted as a real one). The graph is run
    piece by piece: in memory are the weights and statistics of one, and the few values that each hands on to the next.
    """
    if not feeds or not widths:
        return
    asked = {name: footprint(width) for name, width in widths.items()}
    model = tapped(model, list(asked), feeds)
    parts = pieces(model, asked, ROOM)
    known = [dict(feed) for feed in feeds]
    share = max(1, -(-SAMPLE_ROWS // max(1, len(feeds))))
    rng = np.random.default_rng(0)
    for number, part in enumerate(parts):
        later = {name for following in parts[number + 1 :] for name in following.inputs}
        yield from _measured(part, part.model(model), known, later, share, rng)


def _measured(
    part: Piece,
    graph: ir.Model,
    known: list[dict[str, Any]],
    later: Collection[str],
    share: int,
    rng: np.random.Generator,
) -> Iterator[tuple[str, Statistics]]:
    """The statistics of one piece; of each text ``known`` holds afterwards what is needed ``later``."""
    session = opened(graph)
    sums: dict[str, _Sums] = {}
    room = SECOND_MOMENT_BYTES
    for values in known:
        names = [value.name for value in session.get_outputs()]
        made = dict(zip(names, session.run(names, {name: values[name] for name in part.inputs}), strict=True))
        for name in part.asked:
            rows = np.asarray(made[name], dtype=np.float32).reshape(-1, made[name].shape[-1])
            if name not in sums:
                size = 4 * rows.shape[1] ** 2
                sums[name] = _Sums(rows.shape[1], with_second=size <= room)
                room -= size if size <= room else 0
            sums[name].add(rows, rows[np.sort(rng.permutation(len(rows))[:share])])
        values.update(made)
        for name in values.keys() - later:
            del values[name]
    del session
    for name in part.asked:
        yield name, sums.pop(name).statistics()


def footprint(width: int) -> int:
    """Bytes that the statistics of rows of so many numbers take while they are gathered."""
    return 4 * width * (width + SAMPLE_ROWS + _ROWS_AT_ONCE)


class _Sums:
    """Running sums over the rows of one value."""

    def __init__(self, width: int, *, with_second: bool) -> None:
        self.rows = 0
        self.peak = np.zeros(width, np.float32)
        self.second = np.zeros((width, width), np.float32, order="F") if with_second else None
        self.waiting: list[Floats] = []
        self.kept: list[Floats] = []

    def add(self, rows: Floats, kept: Floats) -> None:
        self.rows += len(rows)
        np.maximum(self.peak, np.abs(rows).max(axis=0), out=self.peak)
        self.kept.append(kept)
        if self.second is not None:
            self.waiting.append(rows / levels(rows))
            if sum(map(len, self.waiting)) >= _ROWS_AT_ONCE:
                self._multiply()

    def _multiply(self) -> None:
        if self.second is not None and self.waiting:
            rows = np.concatenate(self.waiting)
            self.waiting.clear()
            # On and above the diagonal only, which is two thirds of the time of ``second += rows.T @ rows``.
            self.second = ssyrk(1.0, rows.T, 1.0, self.second, overwrite_c=1)

    def statistics(self) -> Statistics:
        self._multiply()
        kept = np.concatenate(self.kept)[:SAMPLE_ROWS]
        second = self.second
        if second is not None:
            second /= np.float32(self.rows)
            _mirror(second)
        return Statistics(self.peak, kept, second)


def _mirror(square: Floats, size: int = 256) -> None:
    """Below the diagonal what is above it, in place."""
    for start in range(0, len(square), size):
        own = slice(start, start + size)
        square[start + size :, own] = square[own, start + size :].T
        block = square[own, own]
        block[...] = np.triu(block) + np.triu(block, 1).T
