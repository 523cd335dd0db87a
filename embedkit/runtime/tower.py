"""One role of a loaded bundle: items to batches of tensors, and these through its graph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from embedkit.bundle.manifest import Input, Output
from embedkit.runtime.engines.base import Session
from embedkit.runtime.frontends.batching import pad, plan
from embedkit.runtime.frontends.template import Text
from embedkit.runtime.frontends.tokenizer import Ids, TextTokenizer
from embedkit.vectors.values import Values, placed

from .outputs import of_tensor

Rows = npt.NDArray[np.intp]


class NoVector(Exception):
    """An item that has no vector: its number in what was given, and why. Whoever knows the whole input turns it into
    an `InputError`."""

    def __init__(self, number: int, reason: str) -> None:
        self.number, self.reason = number, reason
        super().__init__(number, reason)


@dataclass(frozen=True, slots=True)
class Batch:
    """Tensors of the items ``rows``: ragged (tokens,) arrays to be padded to ``width``, and (rows,) arrays, by what fills
    them; ``truncated`` (rows,) tells which were cut."""

    rows: Rows
    width: int
    ragged: dict[str, list[Ids]]
    choices: dict[str, Ids]
    truncated: npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Computed:
    """The values of each output that was asked for, (rows,) whether a text was cut, the tokens that were read, and the
    same with padding."""

    values: dict[str, Values]
    truncated: npt.NDArray[np.bool_]
    tokens: int
    slots: int


class Tower:
    """A role's tokenizer, inputs and graph; safe to be shared by threads."""

    def __init__(
        self, tokenizer: TextTokenizer, session: Session, inputs: list[Input], outputs: dict[str, Output]
    ) -> None:
        self.tokenizer, self._session, self._inputs, self._outputs = tokenizer, session, inputs, outputs

    def prepare(self, items: Sequence[Text], budget: int) -> list[Batch]:
        """Batches of at most ``budget`` token slots that hold each of the checked items once; raises `NoVector`."""
        ragged = self.tokenizer.encode(items)
        lengths = ragged.lengths
        for i in np.flatnonzero(lengths == 0)[:1]:
            raise NoVector(int(i), "the tokenizer makes no token of it, so it has no vector")
        for i, pool in enumerate(ragged.pool if self._pools else ()):
            if not pool.any():
                reason = "no token of it is left to pool, so it has no vector; it may be empty, or cut before its text begins"
                raise NoVector(i, reason)
        frontend = self.tokenizer.frontend
        if frontend.fixed is not None:
            lengths = np.full_like(lengths, frontend.fixed)
        else:  # never one token: a product with a single row takes another kernel, and sums in another order
            lengths = np.maximum(self._session.widths(lengths, frontend.truncate.max), max(2, frontend.least))
        numbers = {
            e.name: self.tokenizer.template.choice(e.choice, items) for e in self._inputs if e.choice is not None
        }
        sources = {"ids": ragged.ids, "pool_mask": ragged.pool, "types": ragged.types}
        return [
            Batch(
                rows,
                int(lengths[rows].max()),
                {source: [values[i] for i in rows] for source, values in sources.items() if values},
                {name: values[rows] for name, values in numbers.items()},
                ragged.truncated[rows],
            )
            for rows in plan(lengths, budget)
        ]

    @property
    def _pools(self) -> bool:
        """Whether a text needs a token that is pooled."""
        return any(entry.source == "pool_mask" for entry in self._inputs)

    def values(self, items: Sequence[Text], budget: int, outputs: Sequence[str] | None = None) -> dict[str, Values]:
        """The values of checked items, of all outputs unless some are named, computed on the calling thread in batches of
        ``budget``."""
        batches = self.prepare(items, budget)
        computed = [self.run(batch, outputs) for batch in batches]
        return {
            name: placed([(b.rows, c.values[name]) for b, c in zip(batches, computed, strict=True)], len(items))
            for name in computed[0].values
        }

    def run(self, batch: Batch, outputs: Sequence[str] | None = None) -> Computed:
        """The values of a batch, computed on the calling thread (on CPU)."""
        names = list(self._outputs) if outputs is None else list(outputs)
        rows, frontend = len(batch.rows), self.tokenizer.frontend
        count = self._session.rows(rows)
        ids, mask = pad(batch.ragged["ids"], frontend.pad_id, batch.width, count)
        # Padding that is part of the text, up to the least length; what is beyond it levels the batch.
        own = (mask == 0) & (np.arange(batch.width) < frontend.least)
        tensors = {"ids": ids, "mask": mask, "pool_mask": mask, "types": mask}
        for source in ("pool_mask", "types"):
            if source in batch.ragged:
                tensors[source] = pad(batch.ragged[source], 0, batch.width, count)[0]
        if frontend.padding != "ignored":
            tensors["pool_mask"] = np.where(own, 1, tensors["pool_mask"])
        if frontend.padding == "read":
            tensors["mask"] = np.where(own, 1, mask)
        found = self._session.run(
            {
                entry.name: (
                    tensors[entry.source] if entry.choice is None else np.resize(batch.choices[entry.name], count)
                ).astype(entry.dtype, copy=False)
                for entry in self._inputs
            },
            names,
        )
        read, pooled = tensors["mask"][:rows], tensors["pool_mask"][:rows]
        values = {
            name: of_tensor(self._outputs[name], tensor[:rows], read, pooled)
            for name, tensor in zip(names, found, strict=True)
        }
        return Computed(values, batch.truncated, sum(map(len, batch.ragged["ids"])), ids.size)
