"""Many requests at a time on an event loop: those that wait while the encoder is busy share its next batch."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, Self, Unpack, overload

import numpy as np
import numpy.typing as npt

from embedkit.checks import items_of
from embedkit.errors import ClosedError, EmbedkitError, InputError, OptionError, OverloadedError
from embedkit.runtime.frontends.base import Item
from embedkit.runtime.options import EncodeOptions, Items, OnTruncate, PartKeywords, StreamKeywords, check_count
from embedkit.vectors.arrays import FloatArray
from embedkit.vectors.quantization import Precision, Ranges, Vectors, needs_ranges

from .base import BaseEncoder
from .info import check_encoder


@dataclass(frozen=True, eq=False, slots=True)
class _Request:
    texts: list[Item]
    options: EncodeOptions
    future: asyncio.Future[Any]


class AsyncEncoder:
    """Encodes for many concurrent callers on an asyncio event loop, with the vectors of `Encoder.encode` bit for bit.

    A request is begun at once where a worker is free; those that come while all are busy wait together, and are encoded
    together when one is free again, each worker taking its share. So there is no time to wait for, and none to choose.
    ``max_queue`` is the most texts that may wait: beyond it a request is refused at once with `OverloadedError`.

    ``encoder`` is an `Encoder` or an `EncoderPool`, and stays open. One event loop at a time may use it, and several
    AsyncEncoders may share one encoder. Use it as an async context manager, or call `aclose`.
    """

    def __init__(self, encoder: BaseEncoder, *, max_queue: int = 1024) -> None:
        check_encoder(encoder)
        if max_queue is None:
            raise OptionError("max_queue: expected a positive integer, found None")
        check_count("max_queue", max_queue)
        self.encoder, self.max_queue = encoder, max_queue
        self._threads = ThreadPoolExecutor(encoder.concurrency, thread_name_prefix="embedkit-async")
        self._loop: asyncio.AbstractEventLoop | None = None
        self._requests: dict[_Request, None] = {}  # in order of arrival
        self._waiting = 0
        self._running: set[asyncio.Future[None]] = set()
        self._scheduled = self._closed = False

    @property
    def waiting(self) -> int:
        """Texts that wait for a worker."""
        return self._waiting

    @overload
    async def encode(
        self,
        texts: Items,
        *,
        precision: Literal["float32"] = ...,
        output: None = ...,
        **options: Unpack[StreamKeywords],
    ) -> FloatArray: ...
    @overload
    async def encode(
        self, texts: Items, *, precision: Precision, output: None = ..., **options: Unpack[StreamKeywords]
    ) -> Vectors: ...
    @overload
    async def encode(
        self, texts: Items, *, precision: Precision = ..., output: str | None, **options: Unpack[StreamKeywords]
    ) -> Any: ...
    async def encode(
        self,
        texts: Items,
        *,
        role: str = "default",
        dim: int | None = None,
        precision: Precision = "float32",
        ranges: Ranges | npt.ArrayLike | None = None,
        output: str | None = None,
        on_truncate: OnTruncate | None = None,
    ) -> Any:
        """`Encoder.encode`: (n, dim) vectors, or (dim,) for one string or mapping; of sparse vectors, multi-vectors and tokens
        their rows, one for one string.

        A text that cannot be encoded fails its own request only. A request that is cancelled while it waits gives up its
        place. Raises `OverloadedError` where ``max_queue`` texts wait already.
        """
        single = self.encoder.modality(role).is_item(texts)
        items: list[Item] = [texts] if single else list(items_of("texts", texts))
        if needs_ranges(precision):
            if ranges is None:
                raise InputError(
                    f"ranges: {precision} needs them here, as in Encoder.stream; give ranges=embedkit.fit_ranges(vectors)"
                )
            ranges = Ranges.of(ranges)
        self._admit(len(items))
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        request = _Request(items, EncodeOptions(role, dim, precision, ranges, output, on_truncate), future)
        self._requests[request] = None
        self._waiting += len(items)
        self._schedule()
        try:
            vectors = await future
        finally:
            self._forget(request)
        return vectors[0] if single and isinstance(vectors, np.ndarray) else vectors

    @overload
    async def encode_query(
        self, texts: Items, *, precision: Literal["float32"] = ..., output: None = ..., **options: Unpack[PartKeywords]
    ) -> FloatArray: ...
    @overload
    async def encode_query(
        self, texts: Items, *, precision: Precision, output: None = ..., **options: Unpack[PartKeywords]
    ) -> Vectors: ...
    @overload
    async def encode_query(
        self, texts: Items, *, precision: Precision = ..., output: str | None, **options: Unpack[PartKeywords]
    ) -> Any: ...
    async def encode_query(
        self,
        texts: Items,
        *,
        dim: int | None = None,
        precision: Precision = "float32",
        ranges: Ranges | npt.ArrayLike | None = None,
        output: str | None = None,
        on_truncate: OnTruncate | None = None,
    ) -> Any:
        """`encode` with the model's template for queries."""
        return await self.encode(
            texts, role="query", dim=dim, precision=precision, ranges=ranges, output=output, on_truncate=on_truncate
        )

    @overload
    async def encode_document(
        self, texts: Items, *, precision: Literal["float32"] = ..., output: None = ..., **options: Unpack[PartKeywords]
    ) -> FloatArray: ...
    @overload
    async def encode_document(
        self, texts: Items, *, precision: Precision, output: None = ..., **options: Unpack[PartKeywords]
    ) -> Vectors: ...
    @overload
    async def encode_document(
        self, texts: Items, *, precision: Precision = ..., output: str | None, **options: Unpack[PartKeywords]
    ) -> Any: ...
    async def encode_document(
        self,
        texts: Items,
        *,
        dim: int | None = None,
        precision: Precision = "float32",
        ranges: Ranges | npt.ArrayLike | None = None,
        output: str | None = None,
        on_truncate: OnTruncate | None = None,
    ) -> Any:
        """`encode` with the model's template for documents."""
        return await self.encode(
            texts, role="document", dim=dim, precision=precision, ranges=ranges, output=output, on_truncate=on_truncate
        )

    async def aclose(self) -> None:
        """Take no further request, and finish those that wait. May be called again."""
        self._closed = True
        while self._requests or self._running:
            self._schedule()
            if self._running:
                await asyncio.wait(self._running)
            await asyncio.sleep(0)  # lets what is scheduled begin
        self._threads.shutdown(wait=False)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def _admit(self, count: int) -> None:
        loop = asyncio.get_running_loop()
        if self._closed:
            raise ClosedError("this AsyncEncoder is closed; make another one")
        if self._loop is not loop:
            if self._requests or self._running:
                raise InputError(
                    "this AsyncEncoder is in use on another event loop; make one for each loop, of the same encoder"
                )
            self._loop, self._scheduled = loop, False
        if self._waiting and self._waiting + count > self.max_queue:
            raise OverloadedError(
                f"{self._waiting} texts wait already, and {count} more would be above max_queue={self.max_queue}; try again later, send "
                "fewer at a time, or add workers (embedkit.EncoderPool)",
                waiting=self._waiting,
            )

    def _schedule(self) -> None:
        """Begin what can be begun once the callers that are ready to run have handed in their texts too."""
        if not self._scheduled and self._requests:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._begin)

    def _begin(self) -> None:
        self._scheduled = False
        workers = self.encoder.concurrency
        while self._requests and len(self._running) < workers:
            # All of it where one worker is free, else as much as leaves the same for the others.
            free = workers - len(self._running)
            group = self._take(-(-self._waiting // free))
            running = asyncio.get_running_loop().run_in_executor(self._threads, _encode, self.encoder, group)
            settled = asyncio.ensure_future(self._settle(group, running))
            self._running.add(settled)

    def _take(self, share: int) -> list[_Request]:
        """The requests at the head that can be encoded in one call, of ``share`` texts or little more."""
        first = next(iter(self._requests))
        group: list[_Request] = []
        texts = 0
        for request in list(self._requests):
            if request.options != first.options:
                continue
            group.append(request)
            self._forget(request)
            texts += len(request.texts)
            if texts >= share:
                break
        return group

    def _forget(self, request: _Request) -> None:
        if request in self._requests:
            del self._requests[request]
            self._waiting -= len(request.texts)

    async def _settle(self, group: list[_Request], running: asyncio.Future[list[Any]]) -> None:
        outcomes = await running
        for request, outcome in zip(group, outcomes, strict=True):
            if request.future.done():
                continue
            if isinstance(outcome, Exception):
                request.future.set_exception(outcome)
            else:
                request.future.set_result(outcome)
        task = asyncio.current_task()
        assert task is not None
        self._running.discard(task)
        self._schedule()


def _encode(encoder: BaseEncoder, group: list[_Request]) -> list[Any]:
    """The vectors of each request or its error; where one is refused, the group is halved until that one is alone."""
    options = group[0].options
    try:
        texts = [text for request in group for text in request.texts]
        vectors = encoder.encode_with(texts, options)
    except Exception as error:
        if len(group) == 1 or not isinstance(error, EmbedkitError):
            return [error] * len(group)
        middle = len(group) // 2
        return _encode(encoder, group[:middle]) + _encode(encoder, group[middle:])
    found: list[Any] = []
    start = 0
    for request in group:
        found.append(vectors[start : start + len(request.texts)])
        start += len(request.texts)
    return found
