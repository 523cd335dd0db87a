"""Many requests at a time on an event loop: those that wait while the encoder is busy share its next batch."""

from __future__ import annotations

import asyncio
import time
import warnings
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import TracebackType
from typing import Any, Literal, Self, Unpack, overload

import numpy as np
import numpy.typing as npt

from embedkit.checks import items_of
from embedkit.errors import ClosedError, DeadlineError, InputError, TruncationWarning
from embedkit.runtime.frontends.base import Item
from embedkit.runtime.options import EncodeOptions, Items, OnTruncate, PartKeywords, StreamKeywords, check_on_truncate
from embedkit.runtime.outputs import Answer
from embedkit.vectors.arrays import FloatArray
from embedkit.vectors.quantization import Precision, Ranges, Vectors, needs_ranges

from .base import BaseEncoder
from .info import check_encoder
from .queue.admission import MAX_QUEUE, MAX_QUEUE_TOKENS, Admission, estimated_tokens
from .queue.slices import Request, Slice, Waiting, cut
from .queue.work import encode_group, gathered

SLICE_BUDGETS = 8
"""The most token budgets of a batch (see `Encoder.load`) that a slice, or several small ones together, have."""


class AsyncEncoder:
    """Encodes for many concurrent callers on an asyncio event loop, with the vectors of `Encoder.encode` bit for bit.

    A request is begun at once where a worker is free; those that come while all are busy wait together, and are encoded
    together when one is free again, each worker taking its share. So there is no time to wait for, and none to choose.
    A large request is cut into slices, which are taken in turn with those of others: a short one waits for two slices at most.

    ``max_queue`` is the most texts that may wait, and ``max_queue_tokens`` the most tokens, four characters each: beyond
    either a request is refused at once with `OverloadedError`, which says when to come again. A request that is larger
    is taken where nothing waits.

    ``encoder`` is an `Encoder` or an `EncoderPool`, and stays open. One event loop at a time may use it, and several
    AsyncEncoders may share one encoder. Use it as an async context manager, or call `aclose`.
    """

    def __init__(
        self, encoder: BaseEncoder, *, max_queue: int = MAX_QUEUE, max_queue_tokens: int = MAX_QUEUE_TOKENS
    ) -> None:
        check_encoder(encoder)
        self.encoder, self._admission = encoder, Admission(max_queue, max_queue_tokens)
        self.on_batch: Callable[[int, int, float], None] | None = None
        """Is told of each batch when it is done: its texts, its tokens and the seconds that it took."""
        self._threads = ThreadPoolExecutor(encoder.concurrency, thread_name_prefix="embedkit-async")
        self._loop: asyncio.AbstractEventLoop | None = None
        self._queue = Waiting()
        self._running: set[asyncio.Future[None]] = set()
        self._scheduled = self._closed = False

    @property
    def max_queue(self) -> int:
        """The most texts that may wait."""
        return self._admission.max_queue

    @property
    def waiting(self) -> int:
        """Texts that wait for a worker."""
        return self._queue.items

    @property
    def waiting_tokens(self) -> int:
        """Tokens of these, as they are estimated."""
        return self._queue.tokens

    @property
    def running(self) -> int:
        """Batches that are being computed."""
        return len(self._running)

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
        options = self.encoder.meant(EncodeOptions(role, dim, precision, ranges, output, on_truncate), texts)
        single = self.encoder.modality(options.role).is_item(texts)
        vectors = (await self.encode_counted([texts] if single else texts, options)).values
        return vectors[0] if single and isinstance(vectors, np.ndarray) else vectors

    async def encode_counted(
        self, items: Iterable[Item], options: EncodeOptions | None = None, *, timeout: float | None = None
    ) -> Answer:
        """The values of several items, one a row, with the tokens that are read of each, whether it was cut, and how long it took.

        ``timeout`` is in seconds: what is not begun by then is not begun any more, and the request is a `DeadlineError`.
        """
        arrived = time.perf_counter()
        given = items if isinstance(items, list) else list(items_of("texts", items))
        options = self._settled(self.encoder.meant(options or EncodeOptions(), given))
        modality = self.encoder.modality(options.role)
        checked = [modality.check(item, f"{modality.noun} {i}") for i, item in enumerate(given)]
        self._require_open()
        if not checked:
            return self.encoder.encode_counted([], options)
        tokens = estimated_tokens(modality, checked)
        self._admission.check((self.waiting, self.waiting_tokens), (len(checked), int(tokens.sum())))
        loop = asyncio.get_running_loop()
        request = Request(checked, replace(options, on_truncate=None), loop.create_future(), arrived)
        cut(request, tokens, self._longest(options.role), self._most())
        self._queue.add(request)
        self._schedule()
        alarm = None if timeout is None else loop.call_later(max(timeout, 0.0), self._expire, request, timeout)
        try:
            answer = await request.future
        finally:
            self._queue.forget(request)
            if alarm is not None:
                alarm.cancel()
        self._tell_of_cut(answer, options)
        return answer

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
        while self._queue or self._running:
            self._schedule()
            if self._running:
                await asyncio.wait(self._running)
            await asyncio.sleep(0)  # lets what is scheduled begin
        self._threads.shutdown(wait=False)

    def abandon(self) -> int:
        """Take no further request, and give up those that wait, each with a `ClosedError`; how many these were."""
        self._closed = True
        waiting = self._queue.all()
        for request in waiting:
            self._fail(request, ClosedError("this AsyncEncoder was closed before the request was done; ask again"))
        return len(waiting)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def _settled(self, options: EncodeOptions) -> EncodeOptions:
        """The options, once they were found to be for this encoder."""
        self.encoder.output_for(options)
        if options.on_truncate is not None:
            check_on_truncate(options.on_truncate)
        if not needs_ranges(options.precision):
            return options
        if options.ranges is None:
            raise InputError(
                f"ranges: {options.precision} needs them here, as in Encoder.stream; give ranges=embedkit.fit_ranges(vectors)"
            )
        return replace(options, ranges=Ranges.of(options.ranges))

    def _require_open(self) -> None:
        loop = asyncio.get_running_loop()
        if self._closed:
            raise ClosedError("this AsyncEncoder is closed; make another one")
        if self._loop is not loop:
            if self._queue or self._running:
                raise InputError(
                    "this AsyncEncoder is in use on another event loop; make one for each loop, of the same encoder"
                )
            self._loop, self._scheduled = loop, False

    def _longest(self, role: str) -> int:
        return self.encoder.tokens_read(role)

    def _most(self) -> int:
        return SLICE_BUDGETS * self.encoder.token_budget

    def _schedule(self) -> None:
        """Begin what can be begun once the callers that are ready to run have handed in their texts too."""
        if not self._scheduled and self._queue:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._begin)

    def _begin(self) -> None:
        self._scheduled = False
        workers = self.encoder.concurrency
        while self._queue and len(self._running) < workers:
            # All of it where one worker is free, else as much as leaves the same for the others.
            free = workers - len(self._running)
            group = self._queue.take(-(-self.waiting // free), self._most())
            now = time.perf_counter()
            self._admission.begin(now)
            for one in group:
                one.request.begun = one.request.begun or now
            running = asyncio.get_running_loop().run_in_executor(self._threads, encode_group, self.encoder, group)
            self._running.add(asyncio.ensure_future(self._settle(group, running, now)))

    async def _settle(
        self, group: list[Slice], running: asyncio.Future[list[Answer | Exception]], begun: float
    ) -> None:
        outcomes = await running
        now = time.perf_counter()
        task = asyncio.current_task()
        assert task is not None
        self._running.discard(task)
        self._admission.end(now, sum(one.tokens for one in group), idle=not self._running)
        for one, outcome in zip(group, outcomes, strict=True):
            request = one.request
            if request.future.done():
                continue
            if isinstance(outcome, Exception):
                self._fail(request, outcome)
                continue
            request.parts.append((one.places, outcome))
            if request.whole:
                request.future.set_result(gathered(request, now))
        if self.on_batch is not None:
            tokens = sum(int(found.tokens.sum()) for found in outcomes if isinstance(found, Answer))
            self.on_batch(sum(len(one.places) for one in group), tokens, now - begun)
        self._schedule()

    def _expire(self, request: Request, timeout: float) -> None:
        if request.slices and not request.future.done():
            self._fail(
                request,
                DeadlineError(
                    f"{timeout:g} seconds passed before all of it was begun; ask for less, or wait for longer"
                ),
            )

    def _fail(self, request: Request, error: Exception) -> None:
        self._queue.forget(request)
        if not request.future.done():
            request.future.set_exception(error)

    def _tell_of_cut(self, answer: Answer, options: EncodeOptions) -> None:
        policy = options.on_truncate or self.encoder.on_truncate
        found = int(answer.truncated.sum())
        if found and policy == "error":
            raise self.encoder.too_long(options.role, int(np.argmax(answer.truncated)))
        if found and policy == "warn":
            notice = self.encoder.cut_notice(options.role, found, len(answer.truncated))
            warnings.warn(notice, TruncationWarning, stacklevel=3)
