"""A window of documents and their vectors: each distinct text is encoded once, and one that cannot be costs no other."""

from __future__ import annotations

import copy
import time
from dataclasses import dataclass

import numpy as np

from embedkit.encoders.base import TextEncoder
from embedkit.errors import ClosedError, InputError, OptionError
from embedkit.ingestion.rows.items import Items
from embedkit.ingestion.rows.reading import Fresh
from embedkit.runtime.frontends.template import Text
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

    def __init__(self, encoder: TextEncoder, role: str, columns: Columns) -> None:
        self.role, self.columns = role, columns
        self.items = Items(encoder, role)
        self.encoder = copy.copy(encoder)  # cut texts are told of once, at the end
        if encoder.on_truncate == "warn":
            self.encoder.on_truncate = "ignore"

    def __call__(self, rows: list[Fresh]) -> Encoded:
        """Encode a window."""
        began = time.perf_counter()
        items = [self.items.of(document.text, document.metadata) for document, _ in rows]
        keys = [item if isinstance(item, str) else tuple(sorted(item.items())) for item in items]
        distinct = dict(zip(keys, items, strict=True))
        values, reasons = self._encode(list(distinct.values()))
        place: dict[object, int] = {}
        why: dict[object, str] = {}
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

    def _encode(self, texts: list[Text]) -> tuple[dict[str, Values], dict[int, str]]:
        """The values of the texts that have some, and the texts (by number) that have none with the reason of each."""
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

    def _alone(self, text: Text) -> dict[str, Values] | str:
        """The values of one text, or why it has none."""
        try:
            return self._finite([text])
        except InputError as error:
            return str(error)

    def _finite(self, texts: list[Text]) -> dict[str, Values]:
        values = self.encoder.encode_outputs(texts, role=self.role, outputs=list(self.columns.names.values()))
        for found in values.values():
            if isinstance(found, np.ndarray) and not np.isfinite(found).all():
                raise InputError("the model gave a vector that holds NaN or infinity")
        return values
