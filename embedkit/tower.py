"""One role of a loaded bundle: items to batches of tensors, and these through its graph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .records import FloatArray
from .schedule import pad, plan
from .session import Session
from .template import Text
from .tokenizer import Ids, TextTokenizer
from .types import Input

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
    """(rows, dim) float32 vectors, (rows,) whether a text was cut, the tokens that were read, and the same with
    padding."""

    vectors: FloatArray
    truncated: npt.NDArray[np.bool_]
    tokens: int
    slots: int


class Tower:
    """A role's tokenizer, inputs and graph; safe to be shared by threads."""

    def __init__(self, tokenizer: TextTokenizer, session: Session, inputs: list[Input]) -> None:
        self.tokenizer, self._session, self._inputs = tokenizer, session, inputs

    def prepare(self, items: Sequence[Text], budget: int) -> list[Batch]:
        """Batches of at most ``budget`` token slots that hold each of the checked items once; raises `NoVector`."""
        ragged = self.tokenizer.encode(items)
        lengths = ragged.lengths
        for i in np.flatnonzero(lengths == 0)[:1]:
            raise NoVector(int(i), "the tokenizer makes no token of it, so it has no vector")
        for i, pool in enumerate(ragged.pool):
            if not pool.any():
                reason = "no token of it is left to pool, so it has no vector; it may be empty, or cut before its text begins"
                raise NoVector(i, reason)
        frontend = self.tokenizer.frontend
        if frontend.fixed is not None:
            lengths = np.full_like(lengths, frontend.fixed)
        else:  # never one token: a product with a single row takes another kernel, and sums in another order
            lengths = np.maximum(self._session.widths(lengths, frontend.truncate.max), 2)
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

    def vectors(self, items: Sequence[Text], budget: int) -> FloatArray:
        """(n, dim) float32 vectors of checked items, computed on the calling thread in batches of ``budget``."""
        batches = self.prepare(items, budget)
        computed = [self.run(batch).vectors for batch in batches]
        found = np.empty((len(items), computed[0].shape[1]), dtype=np.float32)
        for batch, vectors in zip(batches, computed, strict=True):
            found[batch.rows] = vectors
        return found

    def run(self, batch: Batch) -> Computed:
        """The vectors of a batch, computed on the calling thread (on CPU)."""
        count = self._session.rows(len(batch.rows))
        ids, mask = pad(batch.ragged["ids"], self.tokenizer.frontend.pad_id, batch.width, count)
        tensors = {"ids": ids, "mask": mask, "pool_mask": mask, "types": mask}
        for source in ("pool_mask", "types"):
            if source in batch.ragged:
                tensors[source] = pad(batch.ragged[source], 0, batch.width, count)[0]
        vectors = self._session.run(
            {
                entry.name: (
                    tensors[entry.source] if entry.choice is None else np.resize(batch.choices[entry.name], count)
                ).astype(entry.dtype, copy=False)
                for entry in self._inputs
            }
        )
        return Computed(vectors[: len(batch.rows)], batch.truncated, sum(map(len, batch.ragged["ids"])), ids.size)
