"""An encoder whose vectors a server computes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from embedkit.bundle.folder import Bundle
from embedkit.bundle.manifest import Graph, Input, Manifest, Part, Scorer, Source, TextFrontend, Tower, Truncate
from embedkit.checks import check_text, integer, one_of, path_of, positive, real
from embedkit.encoders.base import BaseEncoder
from embedkit.errors import InputError, OptionError, RemoteError
from embedkit.runtime.frontends.text.template import Template
from embedkit.runtime.loaded import Setup
from embedkit.runtime.options import OnTruncate, check_on_truncate
from embedkit.stores.contract import METRICS
from embedkit.stores.fingerprint import same_space

from .address import Address
from .client import Client
from .model import RemoteModel, Wanted, find_model
from .source import RemoteSource, changed

_ANY_LENGTH = (1 << 31) - 1
_SCORERS = {"sparse": "sparse_dot", "multivector": "maxsim"}


class RemoteEncoder(BaseEncoder):
    """An encoder behind an address: ``embedkit serve``, or any server with OpenAI's ``/v1/embeddings`` (OpenAI, vLLM, TEI, Ollama,
    llama.cpp, LiteLLM, ...). It encodes texts wherever an `Encoder` does: ingest, search, evaluation. Several threads may share
    one. Use it as a context manager, or call `close`.

    Our server says which bundle it has: a collection that was made with the bundle can be searched through the server, and
    the other way round. What another server has is known by its address, the model's name, and what it makes of four texts:
    where these vectors become others, a collection made before refuses it.

    The key is read from the environment, ``EMBEDKIT_API_KEY`` (of api.openai.com ``OPENAI_API_KEY``), at each request; it is
    in no message, and not pickled. Requests go through the proxies that the environment names.
    """

    def __init__(
        self,
        url: str,
        model: str | None = None,
        *,
        key_variable: str | None = None,
        prompts: Mapping[str, str] | None = None,
        dimensions: int | None = None,
        metric: str | None = None,
        fingerprint: str | None = None,
        tokenizer: str | os.PathLike[str] | None = None,
        max_tokens: int | None = None,
        batch_size: int = 64,
        concurrency: int = 4,
        timeout: float = 60.0,
        retries: int = 5,
        on_truncate: OnTruncate = "warn",
    ) -> None:
        """Ask the server what it has.

        Args:
            url: The address up to the version, as ``http://localhost:8080/v1``; a model's name may follow, as ``...#NAME``.
            model: The model's name, where the server has several, or lists none.
            key_variable: Another variable of the environment that holds the key.
            prompts: Of servers that are not embedkit's: what is put before the texts of a role, as ``{"query": "query: "}``.
            dimensions: How many numbers the server is asked for (Matryoshka); by default all.
            metric: ``cosine``, ``dot`` or ``euclidean``, how the vectors are compared; by default as our server says, of others
                ``cosine``.
            fingerprint: What `RemoteEncoder.fingerprint` was before; `RemoteError` where the model is another one now.
            tokenizer: The model's ``tokenizer.json``, needed for chunks alone.
            max_tokens: How many tokens of a text the model reads, for chunks, where the server does not say.
            batch_size: The most texts in one request; fewer where the server refuses so many.
            concurrency: The most requests at once.
            timeout: Seconds that are waited for an answer.
            retries: How often a request is tried again where the server is overloaded or gone.
            on_truncate: As in `Encoder.load`; a server that is not embedkit's does not tell.

        Raises:
            RemoteError: the server does not answer, refuses, has no such model, or another than ``fingerprint`` says.
            OptionError: an option that says nothing sensible.
        """
        address = Address.of(url)
        for name, value in {"batch_size": batch_size, "concurrency": concurrency}.items():
            positive(name, value)
        for name, number in {"dimensions": dimensions, "max_tokens": max_tokens}.items():
            if number is not None:
                positive(name, number)
        integer("retries", retries, least=0)
        real("timeout", timeout, least=0.001)
        check_on_truncate(on_truncate)
        if metric is not None:
            one_of("metric", metric, sorted(METRICS))
        for role, prompt in (prompts or {}).items():
            check_text(prompt, f"prompts, {role!r}")
        if tokenizer is not None:
            path_of("tokenizer", tokenizer)
        wanted = Wanted(model or address.model, dict(prompts or {}), dimensions, metric)
        client = Client(address, key_variable=key_variable, timeout=timeout, retries=retries)
        found = find_model(client, wanted)
        if fingerprint is not None and not same_space(found.fingerprint, fingerprint):
            raise RemoteError(changed(str(address), found.name))
        bundle = _facade(str(address), found, wanted.prompts, max_tokens, tokenizer)
        source = RemoteSource(
            client, found, batch_size=batch_size, concurrency=concurrency, again=lambda: find_model(client, wanted)
        )
        source.dimensions = dimensions
        why = f"{address} computes it"
        setup = Setup("remote", found.variant, found.engine, why, concurrency, _ANY_LENGTH)
        super().__init__(bundle, setup, source, on_truncate=on_truncate)
        for role in self.roles:
            modality = self.modality(role)
            assert isinstance(modality, Template)
            source.templates[role] = modality
        self.address, self.model = str(address), found.name
        self._requests = source
        self._options: dict[str, Any] = {
            "key_variable": key_variable,
            "prompts": wanted.prompts or None,
            "dimensions": dimensions,
            "metric": metric,
            "fingerprint": found.fingerprint,
            "tokenizer": None if tokenizer is None else os.fspath(tokenizer),
            "max_tokens": max_tokens,
            "batch_size": batch_size,
            "concurrency": concurrency,
            "timeout": timeout,
            "retries": retries,
            "on_truncate": on_truncate,
        }
        self._url = url

    @property
    def concurrency(self) -> int:
        """How many requests there are at once at most."""
        return self.threads

    def close(self) -> None:
        """End the requests, and close the connections. May be called again."""
        self._requests.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (self._url, self.model, self._options)

    def __repr__(self) -> str:
        return f"RemoteEncoder({self.address!r}, {self.model!r})"


def _again(url: str, model: str, options: Mapping[str, Any]) -> RemoteEncoder:
    """The encoder in another process; `RemoteError` where the server has another model meanwhile."""
    return RemoteEncoder(url, model, **options)


@dataclass(frozen=True)
class _NoFolder(Bundle):
    """What a bundle's manifest says, without a folder; one file of it may be elsewhere."""

    tokenizer: Path | None = None

    def path(self, name: str, *, hashed: bool = True) -> Path:
        """The tokenizer, where there is one."""
        if self.tokenizer is None:
            raise InputError(
                f"{self.manifest.source.name}: a remote encoder has no files of its model, which this needs; give its tokenizer for "
                "chunks (RemoteEncoder(url, tokenizer='tokenizer.json')), or use the bundle"
            )
        return self.tokenizer


def _facade(
    where: str,
    model: RemoteModel,
    prompts: Mapping[str, str],
    max_tokens: int | None,
    tokenizer: str | os.PathLike[str] | None,
) -> Bundle:
    """What the bundle of such a model would say of it; nothing in it can be loaded."""
    unknown = [role for role in prompts if role not in model.roles]
    if unknown:
        raise OptionError(f"prompts: expected some of {', '.join(model.roles)}, found {unknown[0]!r}")

    def frontend(role: str) -> TextFrontend:
        before = [Part(lit=prompts[role])] if prompts.get(role) else []
        fields = [Part(field=name, default=default) for name, default in model.fields.items()]
        longest = max_tokens or model.max_tokens or _ANY_LENGTH
        return TextFrontend(tokenizer="tokenizer.json", template=[*before, *fields], truncate=Truncate(max=longest))

    inputs = [Input(name="ids", dtype="int64", source="ids")]
    towers = {
        role: Tower(frontend=frontend(role), inputs=inputs, graph=Graph(variants={}), outputs=dict(model.outputs))
        for role in dict.fromkeys(["default", *model.roles])
    }
    scorers = {
        name: Scorer(
            fn=_SCORERS.get(output.kind, model.metric),  # type: ignore[arg-type]
            left=f"query.{name}",
            right=f"document.{name}",
        )
        for name, output in model.outputs.items()
    }
    manifest = Manifest(
        schema=1,
        source=Source(name=f"{model.name} at {where}", checkpoint_sha256="0" * 64),
        towers=towers,
        scorers=scorers,
        files={},
        golden="golden.npz",
        fingerprint=model.fingerprint,
    )
    return _NoFolder(Path(), manifest, tokenizer=None if tokenizer is None else Path(tokenizer))
