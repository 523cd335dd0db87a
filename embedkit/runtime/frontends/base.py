"""What all kinds of input have: items that are checked, counted and known again, and batches of tensors made of them."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from embedkit.bundle.manifest import Choice, Input
from embedkit.errors import BundleError, InputError

Item: TypeAlias = Any
"""One thing that is encoded: a string, a mapping of a template's fields, a sequence of ids, ...; what it may be is known to
its `Modality` alone."""

Renderer: TypeAlias = Callable[[str], Any]
"""Draws a text: (height, width) or (height, width, 3) uint8, black (0) on white (255)."""

Rows: TypeAlias = npt.NDArray[np.intp]
Ids: TypeAlias = npt.NDArray[np.int64]
Widths: TypeAlias = "Callable[[Ids, int], Ids] | None"
"""(items,) slots that items of so many tokens are padded to at least, none above the second argument unless its item is:
`embedkit.runtime.engines.base.Session.widths`, None where all are the same to the engine."""


class Unencodable(Exception):
    """An item that has no vector: its number in what was given, and why. Whoever knows the whole input turns it into
    an `InputError`."""

    def __init__(self, number: int, reason: str) -> None:
        self.number, self.reason = number, reason
        super().__init__(number, reason)


class Batch(ABC):
    """Items that go through a graph together: ``rows`` are their numbers in what was prepared, ``truncated`` (rows,) tells
    which were cut, ``tokens`` how many are read of all."""

    rows: Rows
    truncated: npt.NDArray[np.bool_]
    tokens: int

    @abstractmethod
    def tensors(self, count: int) -> dict[str, npt.NDArray[Any]]:
        """The tensors by the source that an `Input` names, with ``count`` rows: those beyond the batch's are filled with
        anything that can be computed. ``mask`` and ``pool_mask`` (count, tokens), where there are tokens, tell which are
        the item's, and which of these are to be pooled."""

    @property
    def counts(self) -> Ids:
        """(rows,) tokens that are read of each item; unless a batch knows better, an equal share of all."""
        return np.diff(np.arange(len(self.rows) + 1, dtype=np.int64) * self.tokens // max(1, len(self.rows)))

    @property
    def graph_rows(self) -> int:
        """How many rows of a graph the items are: one each, unless an item is several."""
        return len(self.rows)

    def joined(self, values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """(items, dim) of the (graph_rows, dim) that a graph gives."""
        return values

    def item_of(self, row: int) -> int:
        """The item of a row of the graph."""
        return row

    @abstractmethod
    def choice(self, entry: Input, count: int) -> npt.NDArray[np.int64]:
        """(count,) the number that the choice of an input gives each item."""


class Preparer(Protocol):
    """Makes batches of a role's checked items; several threads may share it."""

    def batches(self, items: Sequence[Item], budget: int, widths: Widths) -> list[Batch]:
        """Batches of at most ``budget`` slots (token slots of text) that hold each item once; raises `Unencodable`."""
        ...


class Modality(ABC):
    """The items of one kind of frontend, without what is heavy: that is opened with the bundle's files by `open`.

    ``kind`` is the manifest's struct of this kind, ``sources`` what its batches can fill inputs with, and ``noun`` what an
    item is called in messages; ``frontend`` is what the manifest says of one role, and ``inputs`` those of its graph.
    Where items have named ``fields``, these are mapped to what stands for each where it is not given (None where it must
    be).
    """

    kind: ClassVar[type]
    sources: ClassVar[frozenset[str]]
    noun: ClassVar[str] = "item"
    fields: dict[str, str | None]
    choices: list[Choice]
    decode: str = "exact"
    """How files are decoded, where there are several ways: set before `open`."""

    def __init__(self, frontend: Any, inputs: Sequence[Input]) -> None:
        for entry in inputs:
            if entry.source not in self.sources | {"choice"}:
                raise BundleError(
                    f"inputs.{entry.name}.source: expected one of {', '.join(sorted(self.sources))} beside a frontend of the "
                    f"kind {frontend.kind}, found {entry.source!r}; export the bundle again"
                )
        self.frontend, self.inputs = frontend, list(inputs)
        self.fields, self.choices = {}, []

    @abstractmethod
    def is_item(self, value: object) -> bool:
        """Whether ``value`` is one item, rather than several."""

    def claims(self, value: object) -> bool:
        """Whether a value's type says that it is an item of this kind, in a bundle that reads several."""
        return False

    @abstractmethod
    def check(self, value: object, where: str) -> Item:
        """``value`` as it is encoded; `InputError` that begins with ``where`` and says what was expected. What was checked
        may be checked again, and stays as it is."""

    @abstractmethod
    def key(self, item: Item) -> Hashable:
        """Equal for items that are the same, which are computed once."""

    @abstractmethod
    def cost(self, item: Item) -> int:
        """What an item takes of memory before it is a tensor, in characters of text: it bounds a window."""

    @abstractmethod
    def fill(self, text: str, number: int = 0) -> Item:
        """The item that a text stands for (golden texts, samples, command lines), which need not be checked; ``number``
        varies what a text does not say."""

    @abstractmethod
    def of_row(self, text: str, metadata: Mapping[str, Any]) -> Item:
        """The item of a stored row, not checked."""

    def reads_text(self, metadata: Mapping[str, Any]) -> bool:
        """Whether `of_row` makes anything of the text of a row with these metadata."""
        return True

    def portable(self, item: Item) -> Item:
        """An item that can be sent to another process."""
        return item

    def of_picture(self, picture: Path, text: str) -> Item:
        """The item that a picture and a text are together, where they are one; else `InputError`."""
        raise InputError(
            f"this role reads {self.frontend.kind}, and no picture together with a text; give one of them, or export a model that reads both"
        )

    def render_with(self, renderer: Renderer) -> bool:
        """Let ``renderer`` draw texts where this reads drawn ones; whether it does."""
        return False

    def prepared(self, items: Sequence[Item]) -> dict[str, npt.NDArray[Any]]:
        """What checked items are prepared to, by source, a row an item, as a golden file keeps them; raises `Unencodable`. Of items
        that texts stand for, as they do where this is not another's, it is ``item``, each in JSON."""
        return {"item": np.array([json.dumps(self.portable(item), default=_plain) for item in items])}

    def restored(self, arrays: Mapping[str, npt.NDArray[Any]]) -> list[Item]:
        """Items that are prepared to the ``arrays``: the inverse of `prepared`."""
        try:
            return [self.check(json.loads(str(one)), self.noun) for one in arrays["item"]]
        except (KeyError, ValueError) as error:
            raise InputError(f"expected items in JSON ({error})") from error

    def of_file(self, data: bytes) -> Item:
        """The item that the bytes of a file are."""
        raise AssertionError(f"texts stand for the items of the kind {self.frontend.kind}")

    @abstractmethod
    def open(self, path: Callable[[str], Path]) -> Preparer:
        """What makes batches; ``path`` gives the bundle's checked files by name."""


def _plain(value: Any) -> Any:
    """An array as lists, for JSON."""
    return value.tolist()
