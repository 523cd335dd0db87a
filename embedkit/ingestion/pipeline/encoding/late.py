"""Windows of chunks that are pooled from documents which are read whole."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from embedkit.encoders.base import BaseEncoder
from embedkit.encoders.late.spans import NO_TOKEN, SpanEncoder
from embedkit.ingestion.pipeline.columns import Columns
from embedkit.ingestion.rows.row import SourcedDocument
from embedkit.runtime.frontends.base import Item
from embedkit.vectors.arrays import FloatArray
from embedkit.vectors.values import Values

from .windows import WindowEncoder


@dataclass(frozen=True, slots=True)
class _Chunk:
    """A chunk: what is ``read``, and which characters of its text are its own."""

    read: Item
    start: int
    end: int


class LateWindowEncoder(WindowEncoder):
    """Encodes windows of late chunks; of a part of a document, which the model reads once, all that the window has. A row that is no
    chunk is read by itself."""

    def __init__(self, encoder: BaseEncoder, role: str, columns: Columns) -> None:
        super().__init__(encoder, role, columns)
        self._spans = SpanEncoder(encoder, role)

    def _item(self, document: SourcedDocument) -> tuple[Item, str]:
        within = document.within
        text = document.text if within is None else within.text
        item, problem = self._checked(text, document.about)
        if problem:
            return None, problem
        return _Chunk(item, *((0, len(text)) if within is None else (within.start, within.end))), ""

    def _key(self, item: Item) -> object:
        return self.modality.key(item.read), item.start, item.end

    def _together(self, texts: list[Item]) -> tuple[dict[str, Values], dict[int, str]]:
        read: dict[object, Item] = {}
        own: dict[object, list[int]] = {}
        for number, chunk in enumerate(texts):
            key = self.modality.key(chunk.read)
            read[key] = chunk.read
            own.setdefault(key, []).append(number)
        reasons: dict[int, str] = {}

        def refuse(part: int, reason: str) -> None:
            reasons.update(dict.fromkeys(list(own.values())[part], reason))

        spans = [[(texts[number].start, texts[number].end) for number in numbers] for numbers in own.values()]
        found = self._spans(list(read.values()), spans, dim=self.columns.dim, on_bad=refuse)
        vectors: dict[int, FloatArray] = {}
        for numbers, part in zip(own.values(), found, strict=True):
            for number, vector in zip(numbers, () if part is None else part, strict=part is not None):
                if np.isnan(vector).any():
                    reasons[number] = NO_TOKEN
                else:
                    vectors[number] = vector
        if not vectors:
            return self.columns.empty(self.encoder, self.role), reasons
        return {self.columns.names["dense"]: np.stack([vectors[number] for number in sorted(vectors)])}, reasons


def window_encoder(encoder: BaseEncoder, role: str, columns: Columns) -> WindowEncoder:
    """What encodes windows of rows of these columns."""
    return (LateWindowEncoder if columns.late else WindowEncoder)(encoder, role, columns)
