"""Sequences of ids as a modality: lists, tuples or arrays of integers, such as the items that a user bought."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Mapping, Sequence
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np

from embedkit.bundle.manifest import IdsFrontend
from embedkit.errors import InputError

from .base import Batch, Ids, Modality, Preparer, Unencodable, Widths
from .batching import Padding, batches

_INTEGER = re.compile(r"[+-]?[0-9]+")
_CHARACTERS_AN_ID = 4


class IdsModality(Modality):
    """Sequences of ids, as one `IdsFrontend` reads them."""

    kind = IdsFrontend
    sources = frozenset({"ids", "mask", "pool_mask", "types", "length"})
    noun = "sequence"

    def is_item(self, value: object) -> bool:
        """A string of numbers, or a sequence or one-dimensional array of integers; an empty one is no sequence yet."""
        if isinstance(value, str):
            return True
        if isinstance(value, np.ndarray):
            return value.ndim == 1 and value.dtype.kind in "iu" and len(value) > 0
        return isinstance(value, Sequence) and not isinstance(value, bytes) and bool(value) and _is_integer(value[0])

    def check(self, value: object, where: str) -> Ids:
        """The ids, each from 0 up to ``size`` and none that of the padding, as (n,) int64."""
        if isinstance(value, str):
            value = self.fill(value)
        if not isinstance(value, Sequence | np.ndarray) or isinstance(value, str | bytes):
            raise InputError(f"{where}: expected a sequence of integers, found {_shown(value)}")
        if isinstance(value, np.ndarray) and (value.ndim != 1 or value.dtype.kind not in "iu"):
            raise InputError(
                f"{where}: expected integers in one dimension, found an array {value.shape} of {value.dtype}"
            )
        for number in value if not isinstance(value, np.ndarray) else ():
            if not _is_integer(number):
                raise InputError(f"{where}: expected a sequence of integers, found {number!r:.40} in it")
        for number in value:
            if not 0 <= int(number) < self.frontend.size:
                raise InputError(f"{where}: expected ids from 0 to {self.frontend.size - 1}, found {int(number)}")
            if int(number) == self.frontend.pad_id:
                raise InputError(f"{where}: {int(number)} is the id of the padding, which is no item; leave it out")
        return np.array(value, dtype=np.int64)

    def key(self, item: Ids) -> Hashable:
        """Its bytes."""
        return item.tobytes()

    def cost(self, item: Ids) -> int:
        """As many characters as its numbers have."""
        return _CHARACTERS_AN_ID * len(item)

    def fill(self, text: str, number: int = 0) -> Any:
        """The integers in a text, between spaces or commas; anything else in it is left for `check` to refuse."""
        words = text.replace(",", " ").split()
        return [int(word) if _INTEGER.fullmatch(word) else word for word in words]

    def of_row(self, text: str, metadata: Mapping[str, Any]) -> Any:
        """The integers in the row's text."""
        return self.fill(text)

    def open(self, path: Callable[[str], Path]) -> Preparer:
        """What cuts and pads; it needs no file."""
        return IdsPreparer(self.frontend)


class IdsPreparer:
    """Sequences to batches of ids."""

    def __init__(self, frontend: IdsFrontend) -> None:
        self._frontend = frontend
        self._padding = Padding(frontend.pad_id, left=frontend.pad == "left")

    def batches(self, items: Sequence[Ids], budget: int, widths: Widths) -> list[Batch]:
        """Batches of at most ``budget`` slots that hold each of the checked sequences once; raises `Unencodable`."""
        most = self._frontend.max
        for i, item in enumerate(items):
            if not len(item):
                raise Unencodable(i, "it has no id, so it has no vector")
        cut = [item[-most:] if self._frontend.keep == "last" else item[:most] for item in items]
        truncated = np.array([len(item) > most for item in items], dtype=np.bool_)
        return batches(
            {"ids": cut},
            truncated,
            self._padding,
            budget,
            widths,
            longest=most,
            fixed=self._frontend.length,
        )


def _is_integer(value: object) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)


def _shown(value: object) -> str:
    return f"{type(value).__name__} {value!r:.40}"
