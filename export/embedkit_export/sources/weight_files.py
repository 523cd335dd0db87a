"""The files of weights that a recipe names."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from embedkit.errors import ExportError

from .weights.state_dicts import load_state


class Weights:
    """Weights by ``FILE:PREFIX``; FILE is relative to ``base`` (the recipe's folder, then the model's), or the word
    ``checkpoint`` for the model's own."""

    def __init__(self, base: Sequence[Path], checkpoint: Path | None) -> None:
        self.base, self.checkpoint = list(base), checkpoint
        self._read: dict[str, dict[str, Tensor]] = {}

    def get(self, reference: str) -> dict[str, Tensor]:
        """The weights under the prefix, without it. Raises `ExportError` naming what is there."""
        file, _, prefix = reference.rpartition(":") if ":" in reference else (reference, "", "")
        state = self._state(file)
        start = f"{prefix}." if prefix else ""
        found = {key.removeprefix(start): value for key, value in state.items() if key.startswith(start)}
        if not found:
            there = ", ".join(sorted({key.rpartition(".")[0] or key for key in state})[:12])
            raise ExportError(f"weights {reference!r}: nothing under {prefix!r}; there are {there}")
        return found

    def _state(self, file: str) -> dict[str, Tensor]:
        if file not in self._read:
            paths = [self.checkpoint] if file == "checkpoint" else [folder / file for folder in self.base]
            path = next((path for path in paths if path is not None and path.exists()), None)
            if path is None:
                raise ExportError(f"weights {file!r}: there is no such file beside the recipe or the model")
            if path.suffix == ".npz":
                with np.load(path, allow_pickle=False) as data:
                    self._read[file] = {name: torch.from_numpy(np.asarray(data[name])) for name in data.files}
            else:
                self._read[file] = load_state(path)
        return self._read[file]


def weights_sha256(modules: list[Any]) -> str:
    """sha256 over all parameters and buffers of some modules, by name: the same weights give the same digest however
    they were stored.

    A transformers pooler is left out: where the checkpoint has none it is made at random, and where its vectors are
    used it is a stage of its own.
    """
    digest = hashlib.sha256()
    for module in modules:
        for key, tensor in sorted(module.state_dict().items()):
            if ".pooler." in f".{key}":
                continue
            digest.update(f"{key} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
            if tensor.numel():
                digest.update(memoryview(tensor.detach().cpu().contiguous().numpy()).cast("B"))
    return digest.hexdigest()


def let_go(modules: Iterable[Any]) -> None:
    """Give back the memory of the modules' large weights, which are empty then: they cannot be run any more. What else holds
    a weight's numbers keeps them. Small ones are copied, for each of them holds the whole file that it was mapped from."""
    for module in modules:
        for weight in module.parameters():
            weight.data = torch.empty(0, dtype=weight.dtype) if weight.numel() >= LARGE else weight.data.clone()
        for buffer in module.buffers():
            buffer.data = buffer.data.clone()


LARGE = 1 << 16
"""Numbers of a weight that is worth letting go."""
