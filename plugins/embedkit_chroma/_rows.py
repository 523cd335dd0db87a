"""The rows of a Chroma collection, read by their ids or by a condition."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from embedkit.stores import CollectionInfo, Record, StoreError, load_metadata

from ._errors import translated
from ._folder import require_same_process

JSON, HASH = "embedkit.metadata", "embedkit.hash"
"""The keys of a row's lossless metadata and of its content hash."""
IDS = 1000
"""Most ids of one request."""
_LOST = "Error finding id"
"""What Chroma says where its index has no vector of a row."""


class Rows:
    """Reads what a collection keeps; of a ``folder`` only in the process that opened it."""

    def __init__(self, made: Any, info: CollectionInfo, folder: str | None) -> None:
        self.info = info
        self._made, self._folder = made, folder

    @property
    def inner(self) -> Any:
        """Chroma's own collection."""
        if self._folder is not None:
            require_same_process(f"the folder {self._folder!r}")
        return self._made

    def ids(self, condition: dict[str, Any] | None) -> list[str]:
        """The ids of the rows that fulfil a condition, in their order."""
        with translated(f"reading from {self.info.name!r}"):
            return sorted(self.inner.get(where=condition, include=[])["ids"])

    def of(self, ids: Sequence[str], *, with_vectors: bool = False) -> list[Record]:
        """The rows that exist among ``ids``."""
        return [record for part in self.parts(ids, with_vectors=with_vectors) for record in part]

    def parts(
        self, ids: Sequence[str], *, with_vectors: bool = False, condition: dict[str, Any] | None = None
    ) -> Iterator[list[Record]]:
        """The rows that exist among ``ids`` and fulfil a condition, some after others; one whose vector is lost has none."""
        for start in range(0, len(ids), IDS):
            yield self._read(list(ids[start : start + IDS]), with_vectors, condition)

    def _read(self, ids: list[str], with_vectors: bool, condition: dict[str, Any] | None) -> list[Record]:
        include = ["metadatas", "documents", *(["embeddings"] if with_vectors else [])]
        try:
            with translated(f"reading from {self.info.name!r}"):
                found = self.inner.get(ids=ids, where=condition, include=include)
        except StoreError as error:
            if not with_vectors or _LOST not in str(error):
                raise
            # Chroma gives no vector at all where one of them is lost from its index.
            middle = len(ids) // 2
            halves = (ids[:middle], ids[middle:]) if middle else (ids,)
            return [row for half in halves for row in self._read(half, bool(middle), condition)]
        vectors = np.asarray(found["embeddings"], np.float32) if with_vectors else [None] * len(found["ids"])
        columns = (found["ids"], found["documents"], found["metadatas"], vectors)
        return [
            Record(row_id, text, load_metadata(row[JSON]), row[HASH], vector)
            for row_id, text, row, vector in zip(*columns, strict=True)
        ]
