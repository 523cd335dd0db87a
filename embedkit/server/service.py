"""What the routes of one server share: its settings, its models, its queue, and whether it is ready."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from embedkit.encoders.info import EncoderInfo
from embedkit.errors import InputError, OverloadedError
from embedkit.runtime.frontends.base import Item
from embedkit.runtime.options import EncodeOptions
from embedkit.runtime.outputs import Answer
from embedkit.vectors.values import scatter

from .http.call import Call
from .http.failures import Refusal
from .models import Catalogue, ServedModel, role_for
from .observing.metrics import Metrics
from .settings import ServeSettings
from .shapes.items import given_items

T = TypeVar("T")

_BESIDE = 256
"""The most pieces of other work that may wait."""

TIMEOUT: ContextVar[float | None] = ContextVar("timeout", default=None)
"""The seconds that the client of the request in hand gives it."""


class Service:
    """``ready`` once the models are warm, ``draining`` once the server is about to end."""

    def __init__(self, catalogue: Catalogue, settings: ServeSettings | None = None) -> None:
        self.catalogue, self.settings = catalogue, settings or ServeSettings()
        self.metrics = Metrics(catalogue)
        self.ready, self.draining = False, False
        self._beside = 0
        for model in catalogue.models.values():
            self.watch(model)

    def watch(self, model: ServedModel) -> None:
        """Measure the batches of a model."""
        model.queue.on_batch = lambda texts, tokens, seconds: self.metrics.batch(model.name, texts, tokens, seconds)

    async def warm(self) -> None:
        """Compute one short item and one of full length in each role of each model, where texts stand for its items."""
        for model in self.catalogue.models.values():
            await asyncio.to_thread(warm_up, model)
        self.ready = True

    def model(self, call: Call, name: str | None, able: Any = None) -> tuple[ServedModel, str | None]:
        """The model that is meant, which the call remembers, and the role that its name says."""
        found, role = self.catalogue.find(name, able)
        call.model = found.name
        return found, role

    def role(
        self,
        call: Call,
        model: ServedModel,
        named: str | None = None,
        input_type: str | None = None,
        by_name: str | None = None,
    ) -> str:
        """The role that is meant, which the call remembers."""
        call.role = role_for(model.encoder, named, input_type, by_name, self.settings.default_role)
        return call.role

    async def encode(
        self, call: Call, model: ServedModel, items: Sequence[tuple[str, Item]], options: EncodeOptions
    ) -> Answer:
        """The values of (role, item) in their order, whatever their roles; all in one queue."""
        roles = list(dict.fromkeys(role for role, _ in items))
        with model.used():
            if len(roles) == 1:
                answer = await self._encode(model, [item for _, item in items], replace(options, role=roles[0]))
            else:
                places = [np.array([i for i, (role, _) in enumerate(items) if role == one]) for one in roles]
                parts = await asyncio.gather(
                    *(
                        self._encode(model, [items[i][1] for i in rows], replace(options, role=one))
                        for one, rows in zip(roles, places, strict=True)
                    )
                )
                answer = _merged(list(zip(places, parts, strict=True)), len(items))
        call.count(answer)
        return answer

    async def encode_given(
        self, call: Call, model: ServedModel, given: Any, options: EncodeOptions, *, name: str = "input"
    ) -> Answer:
        """`encode` of what a request gives as its inputs, in the role of the options."""
        decode = model.tokens.decode if self.settings.token_ids == "model" else None
        try:
            items = given_items(
                model.encoder, given, options.role, most=self.settings.max_texts, decode=decode, name=name
            )
        except InputError as error:
            empty = given == []
            raise Refusal(400, str(error), param=name, tei_type="empty" if empty else None) from error
        return await self.encode(call, model, items, options)

    async def beside(self, work: Callable[[], T]) -> T:
        """What some short work gives that needs no model, on a thread of its own; as much waits as of texts."""
        if self._beside >= _BESIDE:
            raise OverloadedError("too much waits already; try again later", waiting=self._beside, retry_after=1.0)
        self._beside += 1
        try:
            return await asyncio.to_thread(work)
        finally:
            self._beside -= 1

    async def _encode(self, model: ServedModel, items: list[Item], options: EncodeOptions) -> Answer:
        return await model.queue.encode_counted(items, options, timeout=timeout_of(self.settings))


def timeout_of(settings: ServeSettings) -> float | None:
    """The time that a request has, in seconds: the shorter of the client's own (see `TIMEOUT`) and the server's."""
    given = TIMEOUT.get()
    known = [one for one in (given, settings.timeout) if one is not None]
    return min(known, default=None)


def warm_up(model: ServedModel) -> None:
    """Compute a short and a long item in each role, so that no client waits for what is made once."""
    encoder: EncoderInfo = model.encoder
    for role in encoder.roles:
        if encoder.modality(role).frontend.kind != "text":
            continue
        texts = ["a", "a " * encoder.tokens_read(role)]
        model.encoder.encode_counted(encoder.fill(texts, role), EncodeOptions(role))


def _merged(parts: list[tuple[Any, Answer]], count: int) -> Answer:
    """The rows of several answers in the order of the items."""
    if (
        len({type(part.values) for _, part in parts} | {getattr(part.values, "shape", (0, 0))[1:] for _, part in parts})
        > 2
    ):
        raise InputError("input: the roles of these items give other kinds of values; ask for each kind by itself")
    return Answer(
        scatter([(rows, part.values) for rows, part in parts], count),
        scatter([(rows, part.tokens) for rows, part in parts], count),  # type: ignore[arg-type]
        scatter([(rows, part.truncated) for rows, part in parts], count),  # type: ignore[arg-type]
        max(part.waited for _, part in parts),
        max(part.computed for _, part in parts),
    )
