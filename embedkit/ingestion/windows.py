"""A window of documents and their vectors: each distinct text is encoded once, and one that cannot be costs no other."""

from __future__ import annotations

import copy
import time
from dataclasses import dataclass

import numpy as np

from ..encoding import TextEncoder
from ..errors import InputError
from ..records import FloatArray
from ..template import Text
from .items import Items
from .reading import Fresh


@dataclass(frozen=True, slots=True)
class Encoded:
    """The rows of a window that have vectors, (n, dim), and those that have none, each with the reason; how many texts
    were encoded, and from when to when (`time.perf_counter`)."""

    rows: list[Fresh]
    vectors: FloatArray
    refused: list[tuple[Fresh, str]]
    texts: int
    began: float
    ended: float


class WindowEncoder:
    """Encodes windows; several threads may call it."""

    def __init__(self, encoder: TextEncoder, role: str) -> None:
        self.role = role
        self.items = Items(encoder, role)
        self.dim = encoder.outputs(role)[next(iter(encoder.outputs(role)))].dim
        self.encoder = copy.copy(encoder)  # cut texts are told of once, at the end
        if encoder.on_truncate == "warn":
            self.encoder.on_truncate = "ignore"

    def __call__(self, rows: list[Fresh]) -> Encoded:
        """Encode a window."""
        began = time.perf_counter()
        items = [self.items.of(document.text, document.metadata) for document, _ in rows]
        keys = [item if isinstance(item, str) else tuple(sorted(item.items())) for item in items]
        distinct = dict(zip(keys, items, strict=True))
        place = {key: i for i, key in enumerate(distinct)}
        vectors, reasons = self._encode(list(distinct.values()))
        refused = [(row, reasons[place[key]]) for key, row in zip(keys, rows, strict=True) if place[key] in reasons]
        kept = [(place[key], row) for key, row in zip(keys, rows, strict=True) if place[key] not in reasons]
        return Encoded(
            [row for _, row in kept],
            vectors[[i for i, _ in kept]],
            refused,
            len(distinct) - len(reasons),
            began,
            time.perf_counter(),
        )

    def _encode(self, texts: list[Text]) -> tuple[FloatArray, dict[int, str]]:
        """(n, dim) vectors, and the texts (by number) that have none with the reason of each."""
        reasons: dict[int, str] = {}
        try:
            vectors: FloatArray = self.encoder.encode(texts, role=self.role)
        except InputError:
            vectors = np.stack([self._encode_alone(i, text, reasons) for i, text in enumerate(texts)])
        for i in np.flatnonzero(~np.isfinite(vectors).all(axis=1)):
            reasons.setdefault(int(i), "the model gave a vector that holds NaN or infinity")
        return vectors, reasons

    def _encode_alone(self, number: int, text: Text, reasons: dict[int, str]) -> FloatArray:
        try:
            alone: FloatArray = self.encoder.encode([text], role=self.role)[0]
            return alone
        except InputError as error:
            reasons[number] = str(error)
            return np.full(self.dim, np.nan, dtype=np.float32)
