"""The bundles that are served, by the names that clients give them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import Any

from embedkit.bundle.manifest import Output
from embedkit.encoders.asynchronous import AsyncEncoder
from embedkit.encoders.base import BaseEncoder
from embedkit.encoders.classifier import Classifier
from embedkit.encoders.reranker import Reranker
from embedkit.errors import InputError
from embedkit.runtime.frontends.text.tokens import TokenReader

from .http.failures import Refusal

_ONE_OF_COHERE = {"search_query": "query", "search_document": "document", "passage": "document"}


class ServedModel:
    """A bundle with the queue before it; several requests use one at a time. ``path`` is where it was loaded from."""

    def __init__(self, name: str, encoder: BaseEncoder, queue: AsyncEncoder, path: str = "") -> None:
        self.name, self.encoder, self.queue, self.path = name, encoder, queue, path
        self.created = int(time.time())
        self._users = 0
        self._free = asyncio.Event()
        self._free.set()

    @cached_property
    def reranker(self) -> Reranker:
        """The bundle as a reranker; `InputError` where it is none."""
        return Reranker(self.encoder)

    @cached_property
    def classifier(self) -> Classifier:
        """The bundle as a classifier; `InputError` where it is none."""
        return Classifier(self.encoder)

    @cached_property
    def tokens(self) -> TokenReader:
        """What its tokenizer makes of texts; `InputError` where it reads none."""
        return TokenReader.of(self.encoder.bundle, self.encoder.role_of("text"))

    @property
    def ranks(self) -> bool:
        """Whether it scores pairs."""
        try:
            return self.reranker is not None
        except InputError:
            return False

    @property
    def classifies(self) -> bool:
        """Whether it gives classes."""
        return any(output.kind == "logits" for output in self.encoder.outputs().values())

    @property
    def embeds(self) -> bool:
        """Whether its first output is no number for classes or pairs."""
        return self.encoder.kind != "logits"

    def output_of(self, *kinds: str, role: str = "default") -> str:
        """The first output of one of the kinds; `InputError` where there is none."""
        given = self.encoder.outputs(role)
        for name, about in given.items():
            if about.kind in kinds:
                return name
        raise InputError(
            f"the model {self.name!r} gives {', '.join(o.kind for o in given.values())}, and no {kinds[0]}; ask another"
        )

    def about(self, id: str | None = None) -> dict[str, Any]:
        """What ``/v1/models`` says of it."""
        encoder = self.encoder
        return {
            "id": id or self.name,
            "object": "model",
            "created": self.created,
            "owned_by": "embedkit",
            "kind": encoder.kind,
            "dim": encoder.dim,
            "max_tokens": encoder.max_tokens,
            "fingerprint": encoder.fingerprint,
            "variant": encoder.variant,
            "engine": encoder.engine,
            "roles": encoder.roles,
            "metric": encoder.metric,
            "fields": encoder.fields(),
            "outputs": {name: _told(output) for name, output in encoder.outputs().items()},
        }

    @contextmanager
    def used(self) -> Iterator[None]:
        """As long as a request needs it, it is not closed."""
        self._users += 1
        self._free.clear()
        try:
            yield
        finally:
            self._users -= 1
            if not self._users:
                self._free.set()

    async def close(self) -> None:
        """Wait for those who use it, then end it."""
        await self._free.wait()
        await self.queue.aclose()
        if (close := getattr(self.encoder, "close", None)) is not None:
            await asyncio.to_thread(close)


def _told(output: Output) -> dict[str, Any]:
    """What a client needs to know of an output."""
    known = {"kind": output.kind, "dim": output.dim, "normalized": output.normalized, "default": output.default}
    return {name: value for name, value in known.items() if value is not None} | (
        {"matryoshka": output.matryoshka} if output.matryoshka else {}
    )


class Catalogue:
    """The models by name, in their order; ``aliases`` are other names of them. Where there is one model, it answers to any
    name unless ``strict``."""

    def __init__(
        self, models: list[ServedModel], aliases: Mapping[str, str] | None = None, *, strict: bool = False
    ) -> None:
        self.models = {model.name: model for model in models}
        self.aliases, self.strict = dict(aliases or {}), strict
        if len(self.models) < len(models):
            raise InputError("two bundles have one name; give each its own, as NAME=BUNDLE")
        for alias, name in self.aliases.items():
            if name not in self.models:
                raise InputError(f"alias {alias}={name}: expected one of {', '.join(self.models)}")
            if alias in self.models:
                raise InputError(f"alias {alias}={name}: a bundle has this name already; take another")

    def replace(self, model: ServedModel) -> ServedModel:
        """Let a model take the place of that of its name, which is given back."""
        old = self.models[model.name]
        model.created = old.created
        self.models[model.name] = model
        return old

    def find(
        self, name: str | None, able: Callable[[ServedModel], bool] | None = None
    ) -> tuple[ServedModel, str | None]:
        """The model of a name, and the role that ``NAME:ROLE`` names; where no name is given the first that is ``able``.
        `Refusal` 404 for an unknown one."""
        if not name:
            models = list(self.models.values())
            return next((model for model in models if able is None or able(model)), models[0]), None
        if (known := self._known(name)) is not None:
            return known, None
        before, colon, role = name.rpartition(":")
        if colon and (known := self._known(before)) is not None and role in known.encoder.roles:
            return known, role
        if len(self.models) == 1 and not self.strict:
            only = next(iter(self.models.values()))
            return only, role if colon and role in only.encoder.roles else None
        raise Refusal(
            404,
            f"there is no model {name!r:.80}; there are {', '.join(self.ids())}",
            param="model",
            code="model_not_found",
        )

    def ids(self) -> list[str]:
        """All names that are listed: of models, of aliases, and of those with each of their roles."""
        names = [*self.models, *self.aliases]
        return [*names, *(f"{name}:{role}" for name in names for role in self.roles_of(name) if role != "default")]

    def roles_of(self, name: str) -> list[str]:
        """The roles that a listed name can be followed by."""
        model = self._known(name)
        return model.encoder.roles if model is not None and model.embeds else []

    def _known(self, name: str) -> ServedModel | None:
        return self.models.get(self.aliases.get(name, name))


def role_for(encoder: BaseEncoder, named: str | None, input_type: str | None, by_name: str | None, default: str) -> str:
    """The role that a request means: the one ``named``, by Cohere's ``input_type``, by the model's name, or ``default``."""
    if named is not None:
        if named not in encoder.roles:
            raise Refusal(400, f"role: expected one of {', '.join(encoder.roles)}, found {named!r:.80}", param="role")
        return named
    if input_type is not None:
        meant = _ONE_OF_COHERE.get(input_type, input_type)
        return meant if meant in encoder.roles else "default"
    return by_name or (default if default in encoder.roles else "default")
