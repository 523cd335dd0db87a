"""Rows that a collection cannot keep, each with the reason: found before the store is asked, so that they cost no other."""

from __future__ import annotations

from collections.abc import Container, Sequence

import numpy as np

from embedkit.checks import check_text
from embedkit.errors import InputError
from embedkit.records.batch import RecordBatch
from embedkit.records.coercion import MetadataMode, converted
from embedkit.records.metadata import Metadata, dump_metadata
from embedkit.stores.contract import Capabilities, CollectionInfo
from embedkit.vectors.arrays import FloatArray
from embedkit.vectors.multivector import MultiVectors
from embedkit.vectors.sparse import SparseVectors


def unusable_rows(
    batch: RecordBatch, mode: MetadataMode, info: CollectionInfo, caps: Capabilities
) -> tuple[Sequence[Metadata], list[str], dict[int, str]]:
    """The rows' metadata as the mode keeps it, the same in its lossless form, and by their numbers the rows that cannot be
    kept: metadata of a type that no store keeps, invalid Unicode, an id or a row that is too long, no direction under cosine, no token, or
    weights that the store does not take."""
    kept, reasons = _kept_metadata(batch.metadata, mode)
    dumped, refused = _dumped(batch.texts, kept)
    found = refused | reasons
    if caps.max_id_bytes is not None:
        found = _with_long_ids(batch.ids, caps.max_id_bytes) | found
    if caps.max_row_bytes is not None:
        found = _with_many_bytes(batch.texts, dumped, found, caps.max_row_bytes) | found
    if info.metric == "cosine" and info.dim:
        found = _without_direction(batch.vectors) | found
    if batch.sparse is not None:
        found = unusable_weights(batch.sparse, caps) | found
    if batch.multivectors is not None:
        found = _without_tokens(batch.multivectors) | found
    return kept, dumped, found


def unusable_weights(vectors: SparseVectors, caps: Capabilities) -> dict[int, str]:
    """The sparse vectors that a store of these capabilities does not take, by their numbers."""
    found: dict[int, str] = {}
    counts = np.diff(vectors.offsets)
    if not caps.negative_weights and (vectors.values < 0).any():
        rows = np.repeat(np.arange(len(vectors)), counts)[vectors.values < 0]
        reason = "this store takes no sparse vector with a number below 0"
        found.update(dict.fromkeys(rows.tolist(), reason))
    if caps.max_weights is not None:
        for row in np.flatnonzero(counts > caps.max_weights).tolist():
            found[row] = (
                f"this store takes at most {caps.max_weights:,} numbers other than 0 in a sparse vector, found {counts[row]:,}; "
                "keep the largest, with SparseVectors.top"
            )
    return found


def _kept_metadata(metadata: Sequence[Metadata], mode: MetadataMode) -> tuple[Sequence[Metadata], dict[int, str]]:
    if mode == "strict":
        return metadata, {}
    rows = [_converted(given, mode) for given in metadata]
    return [row for row, _ in rows], {i: reason for i, (_, reason) in enumerate(rows) if reason}


def _converted(metadata: Metadata, mode: MetadataMode) -> tuple[Metadata, str]:
    try:
        return converted(metadata, mode), ""
    except InputError as error:
        return {}, str(error)


def _dumped(texts: Sequence[str], metadata: Sequence[Metadata]) -> tuple[list[str], dict[int, str]]:
    rows = [_lossless(text, given) for text, given in zip(texts, metadata, strict=True)]
    return [kept for kept, _ in rows], {i: reason for i, (_, reason) in enumerate(rows) if reason}


def _lossless(text: str, metadata: Metadata) -> tuple[str, str]:
    try:
        check_text(text)
        return dump_metadata(metadata), ""
    except InputError as error:
        return "", str(error)


def _with_long_ids(ids: Sequence[str], most: int) -> dict[int, str]:
    sizes = [len(row_id.encode()) for row_id in ids]
    reason = "this store takes an id of at most {:,} bytes, found {:,}; give it a shorter one, such as a hash of it"
    return {i: reason.format(most, size) for i, size in enumerate(sizes) if size > most}


def _with_many_bytes(texts: Sequence[str], dumped: Sequence[str], known: Container[int], most: int) -> dict[int, str]:
    found = {}
    for i, (text, kept) in enumerate(zip(texts, dumped, strict=True)):
        if i in known or 4 * (len(text) + 2 * len(kept)) <= most:  # a character has at most 4 bytes
            continue
        own, other = len(text.encode()), len(kept.encode())
        if own + 2 * other > most:
            found[i] = (
                f"this store takes a row of at most {most:,} bytes, in which metadata counts twice, found {own:,} of text and {other:,} of "
                "metadata; cut it into chunks, or keep what is large elsewhere"
            )
    return found


def _without_direction(vectors: FloatArray) -> dict[int, str]:
    lost = np.flatnonzero(~vectors.any(axis=1)).tolist()
    return dict.fromkeys(lost, "a zero vector has no direction: cosine is undefined")


def _without_tokens(vectors: MultiVectors) -> dict[int, str]:
    lost = np.flatnonzero(np.diff(vectors.offsets) == 0).tolist()
    return dict.fromkeys(lost, "its text has no token whose vector could be kept")
