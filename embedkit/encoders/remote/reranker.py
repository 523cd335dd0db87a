"""A reranker that a server computes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from embedkit.checks import items_of
from embedkit.encoders.reranker import Ranked
from embedkit.errors import InputError, RemoteError
from embedkit.runtime.options import check_count

from .address import Address
from .client import Client
from .model import listed_models


class RemoteReranker:
    """Ranks documents by a server's ``/rerank``, as `Reranker` does by a bundle: ``embedkit serve``, Cohere, Jina, vLLM, infinity,
    LiteLLM. Several threads may share one. Keys, retries and errors are those of `RemoteEncoder`."""

    def __init__(
        self,
        url: str,
        model: str | None = None,
        *,
        key_variable: str | None = None,
        timeout: float = 60.0,
        retries: int = 5,
    ) -> None:
        """``url`` is the address up to the version, as ``http://localhost:8080/v1``, with ``#NAME`` after it or ``model`` where the
        server has several; without either, our server's reranker."""
        address = Address.of(url)
        self.address = str(address)
        self._client = Client(address, key_variable=key_variable, timeout=timeout, retries=retries)
        self.model = model or address.model or self._only()

    def rank(self, query: str, documents: Sequence[str], k: int | None = None) -> list[Ranked]:
        """The ``k`` most relevant documents (all by default), best first; equally relevant ones in the given order."""
        if isinstance(documents, str):
            raise InputError("documents: expected a list of texts, found one; put it in a list")
        documents = list(items_of("documents", documents))
        check_count("k", k)
        if not documents:
            return []
        body: dict[str, Any] = {"query": query, "documents": documents, "top_n": len(documents)}
        if self.model is not None:
            body["model"] = self.model
        reply = self._client.post("/rerank", body)
        try:
            scores = {int(one["index"]): float(np.float32(one["relevance_score"])) for one in reply["results"]}
        except (KeyError, TypeError, ValueError) as error:
            raise RemoteError(
                f"{self.address}: expected results with index and relevance_score, found {str(reply)[:100]!r}"
            ) from error
        if scores.keys() != set(range(len(documents))):
            raise RemoteError(
                f"{self.address}: expected a score of each of {len(documents)} documents, found {len(scores)}"
            )
        order = sorted(scores, key=lambda i: (-scores[i], i))[:k]
        return [Ranked(i, scores[i], documents[i]) for i in order]

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _only(self) -> str | None:
        """The server's only reranker; None where it does not say what its models are."""
        names = [entry["id"] for entry in listed_models(self._client) if _scores(entry)]
        names = [name for name in names if name.rpartition(":")[0] not in names]
        if len(names) > 1:
            raise RemoteError(
                f"{self.address}: the server has {', '.join(names)}; name one by model=, or as {self.address}#NAME"
            )
        return names[0] if names else None


def _scores(entry: Mapping[str, Any]) -> bool:
    """Whether one of a model's outputs is a number for a pair, or for classes."""
    outputs = entry.get("outputs") or {}
    kinds = [about.get("kind") if isinstance(about, Mapping) else about for about in outputs.values()]
    return "logits" in (entry.get("kind"), *kinds)
