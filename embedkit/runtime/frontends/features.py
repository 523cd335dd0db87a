"""Numbers that were made before as a modality: arrays of token vectors, of boxes, of vectors."""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from embedkit.bundle.manifest import FeaturesFrontend, Input
from embedkit.errors import InputError

from .base import Batch, Item, Modality, Preparer, Rows, Widths
from .batching import plan

_BYTES_A_CHARACTER = 32


class FeaturesModality(Modality):
    """Arrays of one shape, as one `FeaturesFrontend` reads them."""

    kind = FeaturesFrontend
    sources = frozenset({"features", "mask", "pool_mask", "length"})
    noun = "array"

    def is_item(self, value: object) -> bool:
        """An array, or nested lists of numbers, with as many axes as one item has; a string too, of which `check` reads such."""
        return isinstance(value, str) or _depth(value) == len(self.frontend.shape)

    def claims(self, value: object) -> bool:
        """An array of numbers with as many axes."""
        return isinstance(value, np.ndarray) and value.ndim == len(self.frontend.shape)

    def check(self, value: object, where: str) -> npt.NDArray[Any]:
        """The numbers in the dtype that the graph is given."""
        if isinstance(value, str):
            value = self.fill(value)
        wanted = np.dtype(self.frontend.dtype)
        try:
            found = np.asarray(value)
        except (ValueError, TypeError, OverflowError):  # lists of several lengths
            raise InputError(f"{where}: expected {self._wanted()}, found rows of several lengths") from None
        allowed = "fiu" if wanted.kind == "f" else "iu"
        if found.dtype.kind not in allowed or not self._fits(found.shape):
            what = f"the shape {found.shape} of {found.dtype}" if found.dtype.kind in "fiub" else _shown(value)
            raise InputError(f"{where}: expected {self._wanted()}, found {what}")
        if found.dtype.kind == "f" and not np.isfinite(found).all():
            raise InputError(f"{where}: found NaN or infinity; leave it out, or compute it again")
        if wanted.kind in "iu" and found.size:
            limits = np.iinfo(wanted)
            if int(found.min()) < limits.min or int(found.max()) > limits.max:
                raise InputError(f"{where}: expected {self._wanted()}, found numbers beyond {wanted}")
        with np.errstate(over="ignore"):
            made = np.ascontiguousarray(found, dtype=wanted)
        if wanted.kind == "f" and not np.isfinite(made).all():
            raise InputError(f"{where}: found numbers beyond {wanted}; scale them")
        if self.frontend.boxes is not None and bool((made[:, :2] >= made[:, 2:]).any()):
            row = int((made[:, :2] >= made[:, 2:]).any(axis=1).argmax())
            raise InputError(
                f"{where}: box {row}: expected left, top, right, bottom with left < right and top < bottom, found {made[row].tolist()}"
            )
        return made

    def key(self, item: Item) -> Hashable:
        """Its shape and bytes."""
        return item.shape, item.tobytes()

    def cost(self, item: Item) -> int:
        """Its bytes, in characters of text."""
        return 8 + int(item.nbytes) // _BYTES_A_CHARACTER

    def fill(self, text: str, number: int = 0) -> Any:
        """The numbers that a text states as JSON; anything else is left for `check` to refuse."""
        try:
            return json.loads(text)
        except ValueError:
            return [text]

    def of_row(self, text: str, metadata: Mapping[str, Any]) -> Any:
        """The numbers in the row's text."""
        return self.fill(text)

    def prepared(self, items: Sequence[Item]) -> dict[str, npt.NDArray[Any]]:
        """``features`` as a batch has them, and ``length``, the rows of each item."""
        (batch,) = FeaturesPreparer(self.frontend).batches(items, 1 << 40, None)
        back = np.argsort(batch.rows)
        tensors = batch.tensors(len(items))
        found = {"features": tensors["features"][back]}
        return found | ({"length": tensors["length"][back]} if self.frontend.any_rows else {})

    def restored(self, arrays: Mapping[str, npt.NDArray[Any]]) -> list[Item]:
        """The numbers of each item."""
        features = arrays.get("features")
        if features is None:
            raise InputError("expected features, found none")
        lengths = arrays.get("length", np.full(len(features), features.shape[1] if features.ndim > 2 else 1))
        if len(lengths) != len(features):
            raise InputError(f"expected a length for each of {len(features)} items, found {len(lengths)}")
        cut = self.frontend.any_rows
        return [
            self.check(one[: int(length)] if cut else one, "array")
            for one, length in zip(features, lengths, strict=True)
        ]

    def open(self, path: Callable[[str], Path]) -> Preparer:
        """What makes batches; it needs no file."""
        return FeaturesPreparer(self.frontend)

    def _fits(self, shape: tuple[int, ...]) -> bool:
        wanted = self.frontend.shape
        if len(shape) != len(wanted) or (self.frontend.any_rows and not 1 <= shape[0] <= self.frontend.max):
            return False
        return all(want in ("any", have) for have, want in zip(shape, wanted, strict=True))

    def _wanted(self) -> str:
        axes = ", ".join(f"1 to {self.frontend.max}" if n == "any" else str(n) for n in self.frontend.shape)
        return f"numbers of the shape ({axes}{',' * (len(self.frontend.shape) == 1)}) for {self.frontend.dtype}"


class FeaturesPreparer:
    """Makes batches of arrays for one `FeaturesFrontend`; several threads may share it."""

    def __init__(self, frontend: FeaturesFrontend) -> None:
        self.frontend = frontend

    def batches(self, items: Sequence[Item], budget: int, widths: Widths) -> list[Batch]:
        """Batches of at most ``budget`` slots, a slot a row, that hold each item once."""
        # Never one row: a product with a single row takes another kernel, and sums in another order.
        lengths = np.array([len(item) if item.ndim == 2 else 1 for item in items], dtype=np.int64)
        if self.frontend.any_rows:
            lengths = np.maximum(lengths, 2)
        return [
            FeaturesBatch(self.frontend, [items[i] for i in rows], rows, int(lengths[rows].max()))
            for rows in plan(lengths, budget)
        ]


@dataclass(slots=True)
class FeaturesBatch(Batch):
    """Arrays, of which those of any number of rows are filled up to ``width`` rows."""

    frontend: FeaturesFrontend
    items: list[Item]
    rows: Rows
    width: int
    truncated: npt.NDArray[np.bool_] = field(init=False)
    tokens: int = field(init=False)

    def __post_init__(self) -> None:
        self.truncated = np.zeros(len(self.items), dtype=np.bool_)
        self.tokens = int(self.counts.sum())

    @property
    def counts(self) -> npt.NDArray[np.int64]:
        """(rows,) the rows of each array."""
        return np.array([len(item) if item.ndim == 2 else 1 for item in self.items], dtype=np.int64)

    def tensors(self, count: int) -> dict[str, npt.NDArray[Any]]:
        """``features`` (count, rows, dim), or (count, dim), and of rows the (count, rows) ``mask`` and ``pool_mask``, which are the
        same, and (count,) ``length``; what is added is zeros."""
        if len(self.frontend.shape) == 1:
            features = np.zeros((count, self.frontend.dim), dtype=self.frontend.dtype)
            features[: len(self.items)] = np.stack(self.items)
            return {"features": features}
        features = np.zeros((count, self.width, self.frontend.dim), dtype=self.frontend.dtype)
        mask = np.zeros((count, self.width), dtype=np.int64)
        mask[len(self.items) :, 0] = 1
        for i, item in enumerate(self.items):
            features[i, : len(item)] = item
            mask[i, : len(item)] = 1
        return {"features": features, "mask": mask, "pool_mask": mask, "length": mask.sum(axis=1)}

    def choice(self, entry: Input, count: int) -> npt.NDArray[np.int64]:
        """Arrays choose nothing."""
        raise AssertionError(entry)


def _depth(value: object) -> int:
    """Axes of an array, or of nested lists of numbers; 0 for anything else."""
    if isinstance(value, np.ndarray):
        return value.ndim if value.dtype.kind in "fiub" else 0
    if isinstance(value, list | tuple) and value:
        first = value[0]
        if isinstance(first, int | float | np.number):
            return 1
        inner = _depth(first)
        return inner + 1 if inner else 0
    return 0


def _shown(value: object) -> str:
    return f"{type(value).__name__} {value!r:.60}"
