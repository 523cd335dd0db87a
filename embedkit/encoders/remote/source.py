"""Texts to a server in batches, several at once; a text that it refuses is found among those that it was sent with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Any

import numpy as np

from embedkit.bundle.manifest import Output
from embedkit.errors import ClosedError, RemoteError
from embedkit.runtime.frontends.base import Item, Unencodable
from embedkit.runtime.frontends.text.template import Template
from embedkit.runtime.loaded import PendingRows
from embedkit.runtime.tower import BatchResult
from embedkit.stores.fingerprint import same_space
from embedkit.vectors.values import Values, concatenate

from .client import Client
from .model import PROBES, RemoteModel
from .wire import embeddings_of, values_of

_REFUSED = frozenset({400, 413, 422})
"""Statuses of a request that is at fault itself: a text in it, or how many it has."""
_MOST_CHARACTERS = 200_000
"""In one request; servers bound its tokens and its bytes."""


class RemoteSource:
    """Gives a model's values; threads share it. ``again`` finds out what the server has now, after it was gone."""

    def __init__(
        self,
        client: Client,
        model: RemoteModel,
        *,
        batch_size: int,
        concurrency: int,
        again: Callable[[], RemoteModel],
    ) -> None:
        self.client, self.model, self.concurrency, self._again = client, model, concurrency, again
        self.templates: dict[str, Template] = {}
        """What a role's items are, by its name; given once it is known."""
        self._most, self._open, self._worked = batch_size, True, False
        self._known = self._breaks()
        self._lock = Lock()
        self._threads = ThreadPoolExecutor(concurrency, thread_name_prefix="embedkit-remote")

    def submit(self, role: str, items: Sequence[Item], outputs: Sequence[str]) -> list[PendingRows]:
        """Begin to ask for the named outputs of checked items; each item is in exactly one part."""
        if not self._open:
            raise ClosedError("this RemoteEncoder is closed; make another one")
        template = self.templates[role]
        costs = [template.cost(item) for item in items]
        parts: list[PendingRows] = []
        start = total = 0
        for end in range(1, len(items) + 1):
            total += costs[end - 1]
            if end == len(items) or end - start >= self._most or total + costs[end] > _MOST_CHARACTERS:
                chosen = [items[i] for i in range(start, end)]
                future = self._threads.submit(self._batch, role, chosen, list(outputs))
                parts.append((np.arange(start, end, dtype=np.intp), future))
                start, total = end, 0
        return parts

    def close(self) -> None:
        """End the threads, and close the connections."""
        self._open = False
        self._threads.shutdown(wait=True, cancel_futures=True)
        self.client.close()

    def _batch(self, role: str, items: list[Item], outputs: list[str]) -> BatchResult:
        template = self.templates[role]
        given = [item if self.model.own else template.spread(item)[0] for item in items]
        values: dict[str, Values] = {}
        tokens, truncated = 0, np.zeros(len(items), np.bool_)
        for name in outputs:
            found, tokens, cut = self._values(role, given, name)
            values[name] = found
            truncated |= cut
        return BatchResult(values, truncated, tokens, tokens, _shares(given, tokens))

    def _values(self, role: str, items: list[Any], output: str) -> tuple[Values, int, Any]:
        """The values, the tokens that were read, and (items,) which were cut. Raises `Unencodable` for the first item that is
        refused by itself."""
        try:
            return self._asked(role, items, output)
        except RemoteError as error:
            if error.status not in _REFUSED:
                raise
            if len(items) == 1:
                if not self._worked:
                    self._check_works(role, output, error)
                raise Unencodable(0, f"the server refuses it: {error.said or error.status}") from error
        middle = len(items) // 2
        first = self._values(role, items[:middle], output)
        try:
            second = self._values(role, items[middle:], output)
        except Unencodable as error:
            raise Unencodable(error.number + middle, error.reason) from error
        self._most = max(1, min(self._most, middle))  # all are good: there were too many
        return concatenate([first[0], second[0]]), first[1] + second[1], np.concatenate([first[2], second[2]])

    def _asked(self, role: str, items: list[Any], output: str) -> tuple[Values, int, Any]:
        about = self.model.outputs[output]
        reply = self.client.post("/embeddings", self._body(role, items, output, about))
        self._check_same()
        where = str(self.client.address)
        values = values_of(embeddings_of(reply, len(items), where), about, where)
        usage = reply.get("usage") or {}
        self._worked = True
        return values, int(usage.get("prompt_tokens") or 0), _cut(items, reply, usage)

    def _body(self, role: str, items: list[Any], output: str, about: Output) -> dict[str, Any]:
        model = self.model
        form = model.format if about.kind == "dense" else "float"
        body: dict[str, Any] = {"model": model.name, "input": items, "encoding_format": form}
        if model.own:
            body["role"] = role
            if output != next(iter(model.outputs)):
                body["output"] = output
        if self.dimensions is not None and about.kind == "dense":
            body["dimensions"] = self.dimensions
        return body

    dimensions: int | None = None
    """How many numbers the server is asked for; None for all."""

    def _check_works(self, role: str, output: str, error: RemoteError) -> None:
        """Raise ``error`` where the server refuses any text, so that no text is at fault."""
        template = self.templates[role]
        probe = template.fill(PROBES[0])
        try:
            self._asked(role, [probe if self.model.own else template.spread(probe)[0]], output)
        except RemoteError:
            raise error from None

    def _check_same(self) -> None:
        """Once a server was gone another may have taken its place: raise `RemoteError` where it has another model."""
        if self._breaks() == self._known:
            return
        with self._lock:
            seen = self._breaks()
            if seen == self._known:
                return
            found = self._again()
            if not same_space(found.fingerprint, self.model.fingerprint):
                raise RemoteError(changed(str(self.client.address), self.model.name))
            self._known = seen

    def _breaks(self) -> int:
        """How often the server may have been started anew. Others than ours cost a request of texts to be asked what they have, so
        of those a connection that was closed while it waited is none."""
        return self.client.outages + (self.client.renewed if self.model.own else 0)


def _shares(items: Sequence[Any], tokens: int) -> Any:
    """(items,) about how many tokens each has, of what a server tells of all together: by their length."""
    sizes = np.array([_length(item) + 1 for item in items], dtype=np.float64)
    return np.diff(np.round(np.concatenate([[0.0], np.cumsum(sizes) / sizes.sum() * tokens]))).astype(np.int64)


def _length(item: Any) -> int:
    return len(item) if isinstance(item, str) else sum(map(len, item.values()))


def changed(where: str, name: str) -> str:
    """What is said of a model whose vectors are no more what they were."""
    return (
        f"{where}: the model {name!r} is another one than before: its vectors cannot be compared with those that were made with the "
        "former one; serve that again, or make a new collection"
    )


def _cut(items: Sequence[Any], reply: Any, usage: Any) -> Any:
    """(items,) which were cut: as the server names them (``truncated``), or where it tells their number alone the longest."""
    cut = np.zeros(len(items), np.bool_)
    named = reply.get("truncated")
    if isinstance(named, list):
        cut[[i for i in named if isinstance(i, int) and 0 <= i < len(items)]] = True
        return cut
    count = int(usage.get("truncated_texts") or 0)
    if count:
        cut[np.argsort([-_length(item) for item in items], kind="stable")[:count]] = True
    return cut
