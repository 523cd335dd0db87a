"""An encoder that keeps the vectors of texts on disk."""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec
import numpy as np

from embedkit.checks import path_of, positive
from embedkit.encoders.base import BaseEncoder
from embedkit.encoders.info import check_encoder
from embedkit.errors import InputError
from embedkit.runtime.frontends.base import Item
from embedkit.runtime.loaded import PendingRows, Setup
from embedkit.runtime.tower import BatchResult
from embedkit.system.cache import folder
from embedkit.vectors.values import Values

from .file import CacheFile
from .rows import from_bytes, to_bytes

_HEAD = struct.Struct("<?q")
"""Before a row's values: whether the text was cut, and its tokens."""
_DEFAULT_BYTES = 1 << 30


class CachedEncoder(BaseEncoder):
    """An encoder whose texts' vectors are kept in a file, for questions that come again and for repeated runs: the same bits as
    ``encoder`` gives, since they are kept by its fingerprint, variant, engine and device, by role, output and text. What is no text is
    not kept. Several threads, and processes with encoders of their own, may share a file. Use it as a context manager, or call `close`,
    which leaves ``encoder`` open."""

    def __init__(
        self,
        encoder: BaseEncoder,
        path: str | os.PathLike[str] | None = None,
        *,
        max_bytes: int = _DEFAULT_BYTES,
    ) -> None:
        """``path`` is the file, by default ``vectors.sqlite`` in the user's cache folder (or ``EMBEDKIT_CACHE``); of more than
        ``max_bytes`` of vectors those go that were not asked for the longest. Raises `DiskError` where it cannot be written."""
        check_encoder(encoder)
        if not isinstance(encoder, BaseEncoder):
            raise InputError(f"encoder: expected one that computes, found {type(encoder).__name__}")
        positive("max_bytes", max_bytes)
        place = folder() / "vectors.sqlite" if path is None else Path(path_of("path", path))
        setup = Setup(
            encoder.device,
            encoder.variant,
            encoder.engine,
            encoder.why,
            encoder.threads,
            encoder.token_budget,
            encoder.decode,
        )
        self.encoder, self.file = encoder, CacheFile(place, max_bytes)
        super().__init__(encoder.bundle, setup, _CachedSource(encoder, self.file), on_truncate=encoder.on_truncate)

    @property
    def concurrency(self) -> int:
        """How many small batches are computed at the same time."""
        return self.encoder.concurrency

    def close(self) -> None:
        """Close the file. May be called again."""
        self.file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _CachedSource:
    """Gives what is kept, and has the rest computed."""

    def __init__(self, encoder: BaseEncoder, file: CacheFile) -> None:
        self._encoder, self._file = encoder, file
        what = (encoder.fingerprint, encoder.variant, encoder.engine, encoder.device)
        self._space = msgspec.json.encode(what)

    def submit(self, role: str, items: Sequence[Item], outputs: Sequence[str]) -> list[PendingRows]:
        """The values of checked items; each item is in exactly one part."""
        if self._encoder.modality(role).frontend.kind != "text":
            return self._encoder.source.submit(role, items, outputs)
        keys = {name: [self._key(role, name, item) for item in items] for name in outputs}
        kept = {name: self._file.find(list(dict.fromkeys(named))) for name, named in keys.items()}
        known = np.array(
            [all(keys[name][i] in kept[name] for name in outputs) for i in range(len(items))], dtype=np.bool_
        )
        parts: list[PendingRows] = []
        there = np.flatnonzero(known)
        if len(there):
            found = self._recalled(role, {name: [kept[name][keys[name][i]] for i in there] for name in outputs})
            if found is None:
                there = there[:0]
            else:
                done: Future[BatchResult] = Future()
                done.set_result(found)
                parts.append((there, done))
        rest = np.setdiff1d(np.arange(len(items), dtype=np.intp), there)
        if len(rest):
            for rows, future in self._encoder.source.submit(role, [items[i] for i in rest], outputs):
                named = {name: [keys[name][rest[row]] for row in rows] for name in outputs}
                parts.append((rest[rows], self._kept(future, named)))
        return parts

    def _kept(self, future: Future[BatchResult], keys: Mapping[str, Sequence[bytes]]) -> Future[BatchResult]:
        """What the future gives, once it is written to the file."""
        after: Future[BatchResult] = Future()
        after.set_running_or_notify_cancel()

        def keep(done: Future[BatchResult]) -> None:
            try:
                result = done.result()
                self._keep(result, keys)
            except BaseException as error:
                after.set_exception(error)
            else:
                after.set_result(result)

        future.add_done_callback(keep)
        return after

    def _keep(self, result: BatchResult, keys: Mapping[str, Sequence[bytes]]) -> None:
        heads = [_HEAD.pack(bool(cut), int(count)) for cut, count in zip(result.truncated, result.counts, strict=True)]
        for name, named in keys.items():
            rows: Any = result.values[name]
            self._file.keep({key: head + to_bytes(row) for key, head, row in zip(named, heads, rows, strict=True)})

    def _recalled(self, role: str, kept: Mapping[str, list[bytes]]) -> BatchResult | None:
        """The values that the kept bytes are; None where they are of no use."""
        about, values = self._encoder.outputs(role), dict[str, Values]()
        for name, rows in kept.items():
            made = (
                None
                if min(map(len, rows)) < _HEAD.size
                else from_bytes([row[_HEAD.size :] for row in rows], about[name])
            )
            if made is None:
                return None
            values[name] = made
        heads = [_HEAD.unpack_from(row) for row in next(iter(kept.values()))]
        truncated = np.array([cut for cut, _ in heads], dtype=np.bool_)
        return BatchResult(values, truncated, 0, 0, np.array([count for _, count in heads], dtype=np.int64))

    def _key(self, role: str, output: str, item: Item) -> bytes:
        portable = item if isinstance(item, str) else sorted(item.items())
        return hashlib.sha256(self._space + msgspec.json.encode([role, output, portable])).digest()
