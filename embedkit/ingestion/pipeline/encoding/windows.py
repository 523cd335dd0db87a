"""A window of documents and their vectors: each distinct text is encoded once, and one that cannot be costs no other."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from embedkit.encoders.base import BaseEncoder
from embedkit.errors import ClosedError, InputError, OptionError
from embedkit.ingestion.pipeline.columns import Columns
from embedkit.ingestion.rows.reading import Fresh
from embedkit.ingestion.rows.row import SourcedDocument
from embedkit.runtime.frontends.base import Item
from embedkit.runtime.options import OnTruncate
from embedkit.vectors.values import Values, concatenate


@dataclass(frozen=True, slots=True)
class Encoded:
    """The rows of a window that have vectors, these by the name of the output, and those that have none, each with the
    reason; how many texts were encoded, and from when to when (`time.perf_counter`)."""

    rows: list[Fresh]
    values: dict[str, Values]
    refused: list[tuple[Fresh, str]]
    texts: int
    began: float
    ended: float


class WindowEncoder:
    """Encodes windows; several threads may call it."""

    def __init__(self, encoder: BaseEncoder, role: str, columns: Columns) -> None:
        self.encoder, self.role, self.columns = encoder, role, columns
        self.modality = encoder.modality(role)
        # What was cut is told once, at the end.
        self.on_truncate: OnTruncate = "ignore" if encoder.on_truncate == "warn" else encoder.on_truncate

    def __call__(self, rows: list[Fresh]) -> Encoded:
        """Encode a window."""
        began = time.perf_counter()
        distinct: dict[object, Item] = {}
        why: dict[object, str] = {}
        keys: list[object] = []
        for number, (document, _) in enumerate(rows):
            item, problem = self._item(document)
            keys.append((number,) if problem else self._key(item))
            if problem:
                why[keys[-1]] = problem
            else:
                distinct[keys[-1]] = item
        values, reasons = self._encode(list(distinct.values()))
        place: dict[object, int] = {}
        for i, key in enumerate(distinct):
            if i in reasons:
                why[key] = reasons[i]
            else:
                place[key] = len(place)
        kept = [(place[key], row) for key, row in zip(keys, rows, strict=True) if key in place]
        places = np.array([i for i, _ in kept], dtype=np.intp)
        return Encoded(
            [row for _, row in kept],
            {name: found[places] for name, found in values.items()},
            [(row, why[key]) for key, row in zip(keys, rows, strict=True) if key in why],
            len(place),
            began,
            time.perf_counter(),
        )

    def _item(self, document: SourcedDocument) -> tuple[Item, str]:
        """What is encoded of a row, or why nothing can be."""
        if document.within is not None:
            raise OptionError(
                "documents: found chunks of Chunking(late=True) among others; give what embedkit.chunked returns"
            )
        return self._checked(document.text, document.about)

    def _checked(self, text: str, metadata: Mapping[str, Any]) -> tuple[Item, str]:
        try:
            return self.modality.check(self.modality.of_row(text, metadata), self.modality.noun), ""
        except InputError as error:
            return None, str(error)

    def _key(self, item: Item) -> object:
        """Equal of items that have the same values."""
        return self.modality.key(item)

    def _encode(self, texts: list[Item]) -> tuple[dict[str, Values], dict[int, str]]:
        """The values of the texts that have some, and the texts (by number) that have none with the reason of each."""
        if not texts:
            return self.columns.empty(self.encoder, self.role), {}
        try:
            values, reasons = self._together(texts)
        except (ClosedError, OptionError):  # of no single text
            raise
        except InputError:  # one is too long, where that is an error: which others are?
            values, reasons = self._one_by_one(texts)
        finite = _finite(values)
        if not finite.all():
            numbers = [i for i in range(len(texts)) if i not in reasons]
            for place in np.flatnonzero(~finite):
                reasons[numbers[place]] = "the model gave a vector that holds NaN or infinity"
            values = {name: found[np.flatnonzero(finite)] for name, found in values.items()}
        return values, reasons

    def _together(self, texts: list[Item]) -> tuple[dict[str, Values], dict[int, str]]:
        """The values of those that have some, and why each of the others has none."""
        reasons: dict[int, str] = {}
        values = self.encoder.encode_outputs(
            texts,
            role=self.role,
            outputs=list(self.columns.names.values()),
            dim=self.columns.dim,
            on_truncate=self.on_truncate,
            on_bad=reasons.__setitem__,
        )
        return values, reasons

    def _one_by_one(self, texts: list[Item]) -> tuple[dict[str, Values], dict[int, str]]:
        reasons: dict[int, str] = {}
        good: list[dict[str, Values]] = []
        for i, text in enumerate(texts):
            try:
                found, why = self._together([text])
            except InputError as error:
                found, why = {}, {0: str(error)}
            if why:
                reasons[i] = why[0]
            else:
                good.append(found)
        if not good:
            return self.columns.empty(self.encoder, self.role), reasons
        return {name: concatenate([found[name] for found in good]) for name in good[0]}, reasons


def _finite(values: Mapping[str, Values]) -> npt.NDArray[np.bool_]:
    """(n,) whether each row of all values holds finite numbers alone."""
    whole = np.ones(len(next(iter(values.values()))), dtype=np.bool_)
    for found in values.values():
        if isinstance(found, np.ndarray):
            whole &= np.isfinite(found).all(axis=1)
    return whole
