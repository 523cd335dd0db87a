"""What a role takes and gives, and what a graph's output tensors become."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from embedkit.bundle.manifest import Output, part_key
from embedkit.errors import InputError
from embedkit.vectors.arrays import FloatArray, truncate
from embedkit.vectors.multivector import MultiVectors
from embedkit.vectors.sparse import SparseVectors
from embedkit.vectors.values import Values, concatenate, scatter

from .frontends.base import Modality

V = TypeVar("V")


class Named(dict[str, V], Generic[V]):
    """What a bundle has of one kind (``what``), by name; a name that is not there is an `InputError` that lists them."""

    def __init__(self, what: str, entries: Mapping[str, V]) -> None:
        super().__init__(entries)
        self.what = what

    def __getitem__(self, name: str) -> V:
        if not isinstance(name, str):
            self.__missing__(name)
        return super().__getitem__(name)

    def __missing__(self, name: str) -> V:
        raise InputError(f"{self.what}: this bundle has {', '.join(self)}, found {name!r:.80}")


@dataclass(frozen=True, slots=True)
class RoleInfo:
    """What a role takes and gives; of the outputs the first is what is meant where none is named."""

    modality: Modality
    outputs: Named[Output]
    max_tokens: int


@dataclass(frozen=True, slots=True)
class Answer:
    """What was made of n items: their ``values`` (n rows), the (n,) ``tokens`` that are read of each, padding left out, and (n,)
    whether it was ``truncated``. ``waited`` and ``computed`` are seconds, where the items stood in a queue."""

    values: Any
    tokens: npt.NDArray[np.int64]
    truncated: npt.NDArray[np.bool_]
    waited: float = 0.0
    computed: float = 0.0


def join_answers(parts: Sequence[Answer], none: Any) -> Answer:
    """The rows of several answers; ``none``, values without a row, where there is no answer."""
    if len(parts) == 1:
        return parts[0]
    if not parts:
        return Answer(none, np.empty(0, np.int64), np.empty(0, np.bool_))
    return Answer(
        concatenate([part.values for part in parts]),
        np.concatenate([part.tokens for part in parts]),
        np.concatenate([part.truncated for part in parts]),
    )


def scatter_answers(parts: Sequence[tuple[npt.NDArray[np.intp], Answer]], count: int) -> Answer:
    """``count`` rows of which each answer holds those with its numbers; the longest times of all."""
    tokens, truncated = np.empty(count, np.int64), np.empty(count, np.bool_)
    for rows, part in parts:
        tokens[rows], truncated[rows] = part.tokens, part.truncated
    values = scatter([(rows, part.values) for rows, part in parts], count)
    return Answer(values, tokens, truncated, max(p.waited for _, p in parts), max(p.computed for _, p in parts))


def of_tensor(output: Output, tensor: FloatArray, tensors: Mapping[str, npt.NDArray[Any]], rows: int) -> Values:
    """The values of a batch's output tensor, whose first dimension is ``rows``. Of ``tensors`` (see `Batch.tensors`),
    ``mask`` and ``pool_mask`` (rows or more, tokens) tell which tokens are the item's, and which of these are to be pooled; all of
    them where there are no masks."""
    if output.kind == "sparse":
        return SparseVectors.of(tensor, top=output.top)
    if output.kind in ("multivector", "tokens"):
        mask = tensors.get(part_key(output.part, "pool_mask" if output.kind == "multivector" else "mask"))
        kept = np.ones(tensor.shape[:2], np.bool_) if mask is None else mask[:rows] != 0
        offsets = np.concatenate([[0], kept.sum(axis=1).cumsum()])
        return MultiVectors(offsets, tensor[kept])
    return tensor


def empty_values(output: Output, dim: int | None = None) -> Values:
    """No rows, of ``dim`` numbers where it is dense and a size is asked for."""
    if output.kind == "sparse":
        return SparseVectors(np.zeros(1, np.int64), np.empty(0, np.int32), np.empty(0, np.float32), output.dim)
    size = dim if dim is not None and output.kind == "dense" else output.size
    empty = np.empty((0, *(output.grid or ()), size), np.float32)
    return MultiVectors(np.zeros(1, np.int64), empty) if output.kind in ("multivector", "tokens") else empty


def sized(output: Output, values: Values, dim: int | None) -> Values:
    """The values of an output; dense ones cut to ``dim`` numbers, or where no size is asked for to those that are given then."""
    size = dim if dim is not None and output.kind == "dense" else output.default
    if size is None or not isinstance(values, np.ndarray):
        return values
    return truncate(values, size, normalize=output.normalized)


def activated(logits: FloatArray, activation: str) -> FloatArray:
    """(n, classes) float32 as they are (``identity``), each by itself between 0 and 1 (``sigmoid``) or -1 and 1
    (``tanh``), or adding up to 1 (``softmax``); computed in float64."""
    wide = logits.astype(np.float64)
    if activation == "sigmoid":
        small = np.exp(-np.abs(wide))
        wide = np.where(wide >= 0, 1.0, small) / (1.0 + small)
    elif activation == "tanh":
        wide = np.tanh(wide)
    elif activation == "softmax":
        wide = np.exp(wide - wide.max(axis=1, keepdims=True, initial=-np.inf))
        wide /= wide.sum(axis=1, keepdims=True)
    return wide.astype(np.float32)
