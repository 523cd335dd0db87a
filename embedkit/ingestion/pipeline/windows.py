"""A window of documents and their vectors: each distinct text is encoded once, and one that cannot be costs no other."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from embedkit.encoders.base import BaseEncoder
from embedkit.errors import ClosedError, InputError, OptionError
from embedkit.ingestion.rows.reading import Fresh
from embedkit.runtime.frontends.base import Item
from embedkit.runtime.options import OnTruncate
from embedkit.vectors.values import Values, concatenate

from .columns import Columns


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
            item, problem = self._item(document.text, document.metadata)
            keys.append((number,) if problem else self.modality.key(item))
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

    def _item(self, text: str, metadata: Mapping[str, Any]) -> tuple[Item, str]:
        """What is encoded of a row, or why nothing can be."""
        try:
            return self.modality.check(self.modality.of_row(text, metadata), self.modality.noun), ""
        except InputError as error:
            return None, str(error)

    def _encode(self, texts: list[Item]) -> tuple[dict[str, Values], dict[int, str]]:
        """The values of the texts that have some, and the texts (by number) that have none with the reason of each."""
        if not texts:
            return self.columns.empty(self.encoder, self.role), {}
        try:
            return self._finite(texts), {}
        except (ClosedError, OptionError):  # of no single text
            raise
        except InputError:
            pass
        reasons: dict[int, str] = {}
        good: list[dict[str, Values]] = []
        for i, text in enumerate(texts):
            found = self._alone(text)
            if isinstance(found, str):
                reasons[i] = found
            else:
                good.append(found)
        if not good:
            return self.columns.empty(self.encoder, self.role), reasons
        return {name: concatenate([found[name] for found in good]) for name in good[0]}, reasons

    def _alone(self, text: Item) -> dict[str, Values] | str:
        """The values of one text, or why it has none."""
        try:
            return self._finite([text])
        except InputError as error:
            return str(error)

    def _finite(self, texts: list[Item]) -> dict[str, Values]:
        values = self.encoder.encode_outputs(
            texts, role=self.role, outputs=list(self.columns.names.values()), on_truncate=self.on_truncate
        )
        for found in values.values():
            if isinstance(found, np.ndarray) and not np.isfinite(found).all():
                raise InputError("the model gave a vector that holds NaN or infinity")
        return values
