"""Rows as columns: what a store writes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from embedkit.checks import check_id
from embedkit.errors import InputError
from embedkit.vectors.arrays import FloatArray
from embedkit.vectors.multivector import MultiVectors
from embedkit.vectors.sparse import SparseVectors

from .metadata import Metadata, dump_metadata

_NUMBER, _INDEX = 24, 11
"""Most bytes of a float32 as a float64 (-1.1754943508222875e-38), and of an index below 2**31, in JSON, with a comma."""


@dataclass(frozen=True, slots=True)
class RecordBatch:
    """Rows to be written, by column. All columns have n entries; ``vectors`` is (n, dim) float32, finite, C-contiguous, and
    (n, 0) for a collection without dense vectors. ``sparse`` and ``multivectors`` are there where the collection has them.
    ``hashes`` are what `content_hash` gives; they may be any text where nothing is compared with a source.

    ``dumped`` is the metadata as `dump_metadata` gives it, where that is known already; `metadata_json` gives it anyway.

    Raises `InputError` where a column has another length, an id is empty or not text, or a vector is not finite.
    """

    ids: Sequence[str]
    vectors: FloatArray
    texts: Sequence[str]
    metadata: Sequence[Metadata]
    hashes: Sequence[str]
    dumped: Sequence[str] | None = field(default=None, repr=False, compare=False)
    sparse: SparseVectors | None = None
    multivectors: MultiVectors | None = None

    def __post_init__(self) -> None:
        vectors = self.vectors
        if not isinstance(vectors, np.ndarray) or vectors.ndim != 2 or vectors.dtype != np.float32:
            found = f"{vectors.dtype} {vectors.shape}" if isinstance(vectors, np.ndarray) else type(vectors).__name__
            raise InputError(f"RecordBatch.vectors: expected a float32 array of shape (n, dim), found {found}")
        if not vectors.flags.c_contiguous:
            object.__setattr__(self, "vectors", np.ascontiguousarray(vectors))
        for name in ("ids", "texts", "metadata", "hashes"):
            if len(getattr(self, name)) != len(vectors):
                raise InputError(
                    f"RecordBatch.{name}: expected {len(vectors)} entries, found {len(getattr(self, name))}"
                )
        for name, kind in (("sparse", SparseVectors), ("multivectors", MultiVectors)):
            column = getattr(self, name)
            if column is not None and not isinstance(column, kind):
                raise InputError(f"RecordBatch.{name}: expected {kind.__name__}, found {type(column).__name__}")
            if column is not None and len(column) != len(vectors):
                raise InputError(f"RecordBatch.{name}: expected {len(vectors)} rows, found {len(column)}")
        for i, row_id in enumerate(self.ids):
            check_id(row_id, f"RecordBatch.ids[{i}]")
        finite = np.isfinite(vectors).all(axis=1)
        if not finite.all():
            row = int(np.argmin(finite))
            raise InputError(f"RecordBatch.vectors[{row}] (id {self.ids[row]!r}) holds NaN or infinity")

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: Sequence[int]) -> RecordBatch:
        """The batch of the given rows, in the given order."""
        places = np.asarray(rows, dtype=np.intp)
        return RecordBatch(
            sparse=None if self.sparse is None else self.sparse[places],
            multivectors=None if self.multivectors is None else self.multivectors[places],
            ids=[self.ids[i] for i in rows],
            vectors=self.vectors[places],
            texts=[self.texts[i] for i in rows],
            metadata=[self.metadata[i] for i in rows],
            hashes=[self.hashes[i] for i in rows],
            dumped=None if self.dumped is None else [self.dumped[i] for i in rows],
        )

    def metadata_json(self) -> Sequence[str]:
        """Each row's metadata as `dump_metadata` gives it, made once."""
        if self.dumped is None:
            object.__setattr__(self, "dumped", [dump_metadata(metadata) for metadata in self.metadata])
        assert self.dumped is not None
        return self.dumped

    def sizes(self) -> list[int]:
        """About how many bytes each row takes in JSON at most: its strings twice escaped, and 24 bytes a number, since clients
        write a float32 with the 17 digits of a float64."""
        numbers = np.full(len(self), _NUMBER * self.vectors.shape[1])
        if self.sparse is not None:
            numbers += (_NUMBER + _INDEX) * np.diff(self.sparse.offsets)
        if self.multivectors is not None:
            numbers += _NUMBER * self.multivectors.dim * np.diff(self.multivectors.offsets)
        return [
            count + 2 * (len(row_id.encode()) + len(text.encode()) + len(kept.encode()))
            for count, row_id, text, kept in zip(
                numbers.tolist(), self.ids, self.texts, self.metadata_json(), strict=True
            )
        ]

    def split(self, max_rows: int, max_bytes: int | None = None) -> Iterator[RecordBatch]:
        """Consecutive batches of at most ``max_rows`` rows and, by `sizes`, ``max_bytes`` bytes; a row that is larger
        alone is a batch of its own."""
        sizes = self.sizes() if max_bytes is not None else [0] * len(self)
        if len(self) <= max_rows and sum(sizes) <= (max_bytes or 0):
            yield self
            return
        start = total = 0
        for i, size in enumerate(sizes):
            total += size
            if i > start and (i - start == max_rows or total > (max_bytes or 0)):
                yield self.take(range(start, i))
                start, total = i, size
        if start < len(self):
            yield self.take(range(start, len(self)))
