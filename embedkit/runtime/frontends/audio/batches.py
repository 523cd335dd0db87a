"""Batches of sounds: those of a fixed size prepared where they are computed, the others before their batch is chosen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from embedkit.bundle.frontends.audio import AudioFrontend, samples_of
from embedkit.bundle.manifest import Input
from embedkit.runtime.frontends.base import Batch, Item, Rows, Unencodable, Widths
from embedkit.runtime.frontends.batching import plan
from embedkit.runtime.frontends.media import Undecodable

from .mel import MelBank, shape
from .waves import PreparedSound, wave

Numbers = npt.NDArray[np.float32]


class AudioPreparer:
    """Makes batches of sounds for one `AudioFrontend`; several threads may share it."""

    def __init__(self, frontend: AudioFrontend, bank: MelBank | None) -> None:
        self.frontend, self.bank = frontend, bank

    def numbers(self, item: Item, number: int) -> Numbers:
        """What the graph takes of one item: its samples, or its mel; raises `Unencodable`."""
        if isinstance(item, PreparedSound):
            return item.numbers
        try:
            samples = wave(self.frontend, item)
            with np.errstate(over="ignore", invalid="ignore"):
                made = samples if self.bank is None else self.bank(samples)
            if not np.isfinite(made).all():
                raise Undecodable("its numbers are too large; scale it to -1 to 1")
        except Undecodable as error:
            place = f"{item}: " if isinstance(item, Path) and not str(error).startswith(str(item)) else ""
            raise Unencodable(number, f"{place}{error}") from error
        except MemoryError as error:
            raise Unencodable(number, "too little memory to decode it; cut it, or leave it out") from error
        return made

    def batches(self, items: Sequence[Item], budget: int, widths: Widths) -> list[Batch]:
        """Batches of at most ``budget`` slots. Clips of a fixed size are prepared when a batch's tensors are asked for, on the
        thread that computes it; others, whose length decides on their batch, at once."""
        if self.bank is not None:
            most = max(1, budget // self.frontend.slots)
            return [
                MelBatch(self, list(items[start : start + most]), np.arange(start, min(start + most, len(items))))
                for start in range(0, len(items), most)
            ]
        waves = [self.numbers(item, i) for i, item in enumerate(items)]
        frames = np.array([self.frontend.frames(len(one)) for one in waves], dtype=np.int64)
        sizes = [len(one) for one in waves]
        level = self.frontend.batch == "longest"
        groups = plan(np.maximum(frames, 2), budget) if level else _equal(sizes, frames, budget)
        return [WaveBatch(self.frontend, [waves[i] for i in rows], rows) for rows in groups]


def _equal(sizes: Sequence[int], frames: npt.NDArray[np.int64], budget: int) -> list[Rows]:
    """Rows of one size together, at most ``budget`` slots of them."""
    by_size: dict[int, list[int]] = {}
    for row, size in enumerate(sizes):
        by_size.setdefault(size, []).append(row)
    groups = []
    for rows in by_size.values():
        most = max(1, budget // max(1, int(frames[rows[0]])))
        groups += [np.array(rows[start : start + most], dtype=np.intp) for start in range(0, len(rows), most)]
    return groups


@dataclass(slots=True)
class MelBatch(Batch):
    """Sounds that are not prepared yet."""

    preparer: AudioPreparer
    items: list[Item]
    rows: Rows
    truncated: npt.NDArray[np.bool_] = field(init=False)
    tokens: int = field(init=False)

    def __post_init__(self) -> None:
        self.truncated = np.zeros(len(self.items), dtype=np.bool_)
        self.tokens = self.preparer.frontend.slots * len(self.items)

    def tensors(self, count: int) -> dict[str, npt.NDArray[Any]]:
        """``features`` (count, ...) float32; rows that are added are zeros. Raises `Unencodable` with a row of the batch."""
        mel = self.preparer.frontend.mel
        assert mel is not None
        features = np.zeros((count, *shape(mel)), dtype=np.float32)
        for i, item in enumerate(self.items):
            features[i] = self.preparer.numbers(item, i)
        return {"features": features}

    def choice(self, entry: Input, count: int) -> npt.NDArray[np.int64]:
        """Sounds choose nothing."""
        raise AssertionError(entry)


@dataclass(slots=True)
class WaveBatch(Batch):
    """Clips of samples, prepared."""

    frontend: AudioFrontend
    waves: list[Numbers]
    rows: Rows
    truncated: npt.NDArray[np.bool_] = field(init=False)
    tokens: int = field(init=False)

    def __post_init__(self) -> None:
        self.truncated = np.zeros(len(self.waves), dtype=np.bool_)
        self.tokens = sum(self.frontend.frames(len(one)) for one in self.waves)

    def tensors(self, count: int) -> dict[str, npt.NDArray[Any]]:
        """``samples`` (count, longest) float32, filled with zeros behind, the (count,) ``length`` in frames and the ``mask`` (count,
        frames) that it stands for; rows that are added are zeros of one frame."""
        width = max(len(one) for one in self.waves)
        if self.frontend.batch == "longest":
            # Never one frame: a product with a single row takes another kernel, and sums in another order.
            width = max(width, samples_of(2, self.frontend.convolutions))
        samples = np.zeros((count, width), dtype=np.float32)
        lengths = np.ones(count, dtype=np.int64)
        for i, one in enumerate(self.waves):
            samples[i, : len(one)] = one
            lengths[i] = self.frontend.frames(len(one))
        mask = (np.arange(self.frontend.frames(width)) < lengths[:, None]).astype(np.int64)
        return {"samples": samples, "length": lengths, "mask": mask, "pool_mask": mask}

    def choice(self, entry: Input, count: int) -> npt.NDArray[np.int64]:
        """Sounds choose nothing."""
        raise AssertionError(entry)
