"""One role of a loaded bundle: items to batches of tensors, and these through its graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt

from embedkit.bundle.manifest import Input, Output, part_key
from embedkit.errors import BundleError
from embedkit.vectors.values import Values, scatter

from .engines.base import Session, compute
from .frontends.base import Batch, Item, Modality, Preparer, Unencodable
from .outputs import of_tensor


@dataclass(frozen=True, slots=True)
class BatchResult:
    """The values of each output that was asked for, (rows,) whether an item was cut, the tokens that the model read (of equal
    items once), the same with padding, (rows,) the tokens of each item, and the seconds that it took to make tensors of them."""

    values: dict[str, Values]
    truncated: npt.NDArray[np.bool_]
    tokens: int
    slots: int
    counts: npt.NDArray[np.int64]
    preparing: float = 0.0


class Tower:
    """A role's modality, inputs and graph; safe to be shared by threads."""

    def __init__(
        self,
        modality: Modality,
        preparer: Preparer,
        session: Session,
        inputs: Sequence[Input],
        outputs: dict[str, Output],
        where: str = "tower",
    ) -> None:
        self.modality, self.preparer, self.session = modality, preparer, session
        self.inputs, self.outputs, self.where = list(inputs), outputs, where

    def prepare(self, items: Sequence[Item], budget: int) -> list[Batch]:
        """Batches of at most ``budget`` token slots that hold each of the checked items once; raises `Unencodable`."""
        return self.preparer.batches(items, budget, self.session.widths)

    def values(self, items: Sequence[Item], budget: int, outputs: Sequence[str] | None = None) -> dict[str, Values]:
        """The values of checked items, of all outputs unless some are named, computed on the calling thread in batches of
        ``budget``; raises `Unencodable`."""
        batches = self.prepare(items, budget)
        computed = [self._numbered(batch, outputs) for batch in batches]
        return {
            name: scatter([(b.rows, c.values[name]) for b, c in zip(batches, computed, strict=True)], len(items))
            for name in computed[0].values
        }

    def _numbered(self, batch: Batch, outputs: Sequence[str] | None) -> BatchResult:
        """`run`; raises `Unencodable` with the item's number in what was prepared."""
        try:
            return self.run(batch, outputs)
        except Unencodable as error:
            raise Unencodable(int(batch.rows[error.number]), error.reason) from error

    def run(self, batch: Batch, outputs: Sequence[str] | None = None, preparing: float = 0.0) -> BatchResult:
        """The values of a batch, which took ``preparing`` seconds to make, computed on the calling thread (on CPU). Raises
        `Unencodable`, with a row of the batch, where the engine fails."""
        names = list(self.outputs) if outputs is None else list(outputs)
        rows = batch.graph_rows
        count = rows if self.session.rows is None else self.session.rows(rows)
        began = perf_counter()
        tensors = batch.tensors(count)
        preparing += perf_counter() - began
        given = graph_inputs(batch, tensors, self.inputs, count)
        try:
            found = compute(self.session, given, names, f"{self.where}.graph")
        except BundleError as error:
            try:
                found, count = self._alone(given, names, rows, error), rows
            except Unencodable as alone:
                raise Unencodable(batch.item_of(alone.number), alone.reason) from error
        values: dict[str, Values] = {}
        for name, tensor in zip(names, found, strict=True):
            output = self.outputs[name]
            self._check(name, tensor, count, tensors.get(part_key(output.part, "mask")))
            plain = output.kind in ("dense", "logits", "map")
            values[name] = batch.joined(tensor[:rows]) if plain else of_tensor(output, tensor[:rows], tensors, rows)
        mask = tensors.get("mask")
        slots = batch.tokens if mask is None else mask.size
        return BatchResult(values, batch.truncated, batch.tokens, slots, batch.counts, preparing)

    def _check(self, name: str, tensor: npt.NDArray[Any], count: int, mask: npt.NDArray[np.int64] | None) -> None:
        """`BundleError` where a tensor has not the shape that the manifest says."""
        output = self.outputs[name]
        wanted: tuple[int, ...] = (count, output.dim)
        if output.kind in ("multivector", "tokens"):  # of what has no mask every item has as many
            tokens = mask.shape[1] if mask is not None else tensor.shape[1] if tensor.ndim == 3 else 1
            wanted = (count, output.count or tokens, output.dim)
        elif output.grid is not None:
            wanted = (count, *output.grid, output.dim)
        if tensor.shape != wanted or tensor.dtype != np.float32:
            raise BundleError(
                f"{self.where}.outputs.{name}: expected the shape {wanted} of float32, found {tensor.shape} of {tensor.dtype}; export "
                "the bundle again"
            )

    def _alone(
        self, given: Mapping[str, npt.NDArray[Any]], names: Sequence[str], rows: int, error: BundleError
    ) -> list[npt.NDArray[np.float32]]:
        """What the graph gives for each of the rows by itself, where it failed for them together with ``error``: the same
        bytes. Raises `Unencodable` for the first row that has no values alone either."""
        if rows == 1:
            raise Unencodable(0, str(error)) from error
        count = 1 if self.session.rows is None else self.session.rows(1)
        found = []
        for row in range(rows):
            single = {name: np.repeat(array[row : row + 1], count, axis=0) for name, array in given.items()}
            try:
                found.append(compute(self.session, single, names, f"{self.where}.graph"))
            except BundleError as own:
                raise Unencodable(row, str(own)) from own
        return [np.concatenate([parts[i][:1] for parts in found]) for i in range(len(names))]


def graph_inputs(
    batch: Batch, tensors: Mapping[str, npt.NDArray[Any]], inputs: Sequence[Input], count: int
) -> dict[str, npt.NDArray[Any]]:
    """What a graph's ``inputs`` get of a batch's ``tensors`` of ``count`` rows, by their names."""
    return {
        entry.name: (tensors[entry.key] if entry.choice is None else batch.choice(entry, count)).astype(
            entry.dtype, copy=False
        )
        for entry in inputs
    }
