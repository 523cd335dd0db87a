"""Batches of sounds: those of a fixed size prepared where they are computed, the others before their batch is chosen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from embedkit.bundle.frontends.audio import AudioFrontend, Windows, samples_of
from embedkit.bundle.manifest import Input
from embedkit.runtime.frontends.base import Batch, Item, Rows, Unencodable, Widths
from embedkit.runtime.frontends.batching import plan
from embedkit.runtime.frontends.media import Undecodable

from .decoding import Waveform
from .mel import MelBank, shape
from .waves import PreparedSound, wave

Numbers = npt.NDArray[np.float32]


class AudioPreparer:
    """Makes batches of sounds for one `AudioFrontend`; several threads may share it."""

    def __init__(self, frontend: AudioFrontend, bank: MelBank | None) -> None:
        self.frontend, self.bank = frontend, bank

    def numbers(self, item: Item, number: int) -> Numbers:
        """What the graph takes of one item: its samples, its mel, or those of its windows; raises `Unencodable`."""
        if isinstance(item, PreparedSound):
            return item.numbers
        try:
            samples = wave(self.frontend, item)
            with np.errstate(over="ignore", invalid="ignore"):
                made = samples if self.bank is None else self._energies(self.bank, samples)
            if not np.isfinite(made).all():
                raise Undecodable("its numbers are too large; scale it to -1 to 1")
        except Undecodable as error:
            place = f"{item}: " if isinstance(item, Path) and not str(error).startswith(str(item)) else ""
            raise Unencodable(number, f"{place}{error}") from error
        except MemoryError as error:
            raise Unencodable(number, "too little memory to decode it; cut it, or leave it out") from error
        return made

    def _energies(self, bank: MelBank, samples: Waveform) -> Numbers:
        windows = self.frontend.windows
        return bank(samples) if windows is None else bank.windows(samples, windows)

    def batches(self, items: Sequence[Item], budget: int, widths: Widths) -> list[Batch]:
        """Batches of at most ``budget`` slots. Clips of a fixed size are prepared when a batch's tensors are asked for, on the
        thread that computes it; others, whose length decides on their batch, at once."""
        if self.frontend.windows is not None:
            return self._windows(self.frontend.windows, items, max(1, budget // self.frontend.slots))
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

    def _windows(self, about: Windows, items: Sequence[Item], most: int) -> list[Batch]:
        """Batches of at most ``most`` windows, more only where one item has more."""
        batches: list[Batch] = []
        rows: list[int] = []
        waiting: list[Numbers] = []
        for row, item in enumerate(items):
            made = self.numbers(item, row)
            if waiting and sum(map(len, waiting)) + len(made) > most:
                batches.append(WindowBatch(about, self.frontend.slots, waiting, np.array(rows, dtype=np.intp)))
                rows, waiting = [], []
            rows.append(row)
            waiting.append(made)
        if waiting:
            batches.append(WindowBatch(about, self.frontend.slots, waiting, np.array(rows, dtype=np.intp)))
        return batches


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
class WindowBatch(Batch):
    """Clips of any number of windows, prepared."""

    about: Windows
    slots: int
    clips: list[Numbers]
    rows: Rows
    truncated: npt.NDArray[np.bool_] = field(init=False)
    tokens: int = field(init=False)

    def __post_init__(self) -> None:
        self.truncated = np.zeros(len(self.clips), dtype=np.bool_)
        self.tokens = self.slots * self.graph_rows

    @property
    def counts(self) -> npt.NDArray[np.int64]:
        """(rows,) the slots of each clip's windows."""
        return self.slots * np.fromiter(map(len, self.clips), dtype=np.int64, count=len(self.clips))

    @property
    def graph_rows(self) -> int:
        """Windows of all clips."""
        return sum(map(len, self.clips))

    def tensors(self, count: int) -> dict[str, npt.NDArray[Any]]:
        """``features`` (count, ...) float32; rows that are added are zeros."""
        features = np.zeros((count, *self.clips[0].shape[1:]), dtype=np.float32)
        features[: self.graph_rows] = np.concatenate(self.clips)
        return {"features": features}

    def joined(self, values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """The mean of a clip's windows, of unit length where that is asked for."""
        made, start = np.empty((len(self.clips), values.shape[1]), dtype=np.float32), 0
        for i, clip in enumerate(self.clips):
            mean = values[start : start + len(clip)].mean(axis=0, dtype=np.float64)
            if self.about.reduce == "mean_normalize":
                mean /= max(float(np.linalg.norm(mean)), 1e-12)
            made[i] = mean
            start += len(clip)
        return made

    def item_of(self, row: int) -> int:
        """The clip of a window."""
        return int(np.searchsorted(np.cumsum([len(clip) for clip in self.clips]), row, side="right"))

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
        self.tokens = int(self.counts.sum())

    @property
    def counts(self) -> npt.NDArray[np.int64]:
        """(rows,) the frames of each clip."""
        return np.array([self.frontend.frames(len(one)) for one in self.waves], dtype=np.int64)

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
