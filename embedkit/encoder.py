"""The encoder: texts in, vectors out, in input order and bounded memory."""

from __future__ import annotations

import os
import threading
import warnings
import weakref
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from typing import Literal, TypeAlias, overload

import msgspec
import numpy as np
import numpy.typing as npt

from .bundle import Bundle
from .errors import InputError, TruncationError
from .records import FloatArray
from .schedule import pad, plan
from .session import Session, choose_device, choose_variant, cpu_count
from .tokenizer import Ragged, Text, TextTokenizer
from .types import Input
from .vectors import similarity, truncate

Precision: TypeAlias = Literal["float32", "float16"]
OnTruncate: TypeAlias = Literal["warn", "error", "ignore"]
Vectors: TypeAlias = "npt.NDArray[np.float32] | npt.NDArray[np.float16]"

DEFAULT_TOKEN_BUDGET = 512
"""Token slots a batch: its activations stay in a core's cache, and one batch is the smallest piece of work for a
thread."""

GOLDEN_TOLERANCE = 0.005
"""How much worse than where it was exported a variant's cosine with its golden vectors may be on another machine."""

_CANARIES = 4
_WINDOW_TEXTS = 2048
_WINDOW_CHARACTERS = 1 << 21


class TruncationWarning(UserWarning):
    """Some texts were longer than the model reads."""


@dataclass(slots=True)
class Stats:
    """What an encoder has done since it was loaded; ``slots`` counts tokens with padding."""

    texts: int = 0
    truncated: int = 0
    tokens: int = 0
    slots: int = 0


@dataclass(frozen=True, slots=True)
class _Role:
    tokenizer: TextTokenizer
    session: Session
    inputs: list[Input]
    dim: int
    normalized: bool
    matryoshka: list[int]


@dataclass(frozen=True, slots=True)
class _Batch:
    """The tensors of some texts: ragged (tokens,) arrays to be padded, and (rows,) arrays, by what fills them."""

    ragged: dict[str, list[npt.NDArray[np.int64]]]
    choices: dict[str, npt.NDArray[np.int64]]


class Encoder:
    """An encoder loaded from a bundle. Several threads may share one.

    The same text gives the same vector, bit for bit, whatever it is encoded together with and in whatever order.
    """

    def __init__(
        self,
        bundle: Bundle,
        roles: dict[str, _Role],
        *,
        device: str,
        variant: str,
        threads: int,
        token_budget: int,
        on_truncate: OnTruncate,
    ) -> None:
        self.bundle, self.device, self.variant = bundle, device, variant
        self.threads, self.token_budget, self.on_truncate = threads, token_budget, on_truncate
        self.stats = Stats()
        self._roles = roles
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="embedkit")
        weakref.finalize(self, self._pool.shutdown, wait=False)

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        *,
        device: str = "auto",
        variant: str = "auto",
        threads: int | None = None,
        token_budget: int | None = None,
        on_truncate: OnTruncate = "warn",
    ) -> Encoder:
        """Load a bundle; the hashes of the files it uses are checked.

        ``device`` is ``auto``, ``cpu``, ``cuda`` or ``cuda:N``. ``variant`` is a name or ``auto``: int8 on CPU where the
        bundle has it and it gives its golden vectors on this machine. ``threads`` defaults to the CPUs this process may
        use. ``token_budget`` is the most token slots in one batch. ``on_truncate`` says what a text longer than the
        model reads gives: a warning, an error, or nothing but a count in `stats`. Raises `BundleError`, `DeviceError`
        or `MissingExtraError`.
        """
        for name, value in (("threads", threads), ("token_budget", token_budget)):
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
                raise InputError(f"{name}: expected a positive integer or None, found {value!r}")
        if on_truncate not in ("warn", "error", "ignore"):
            raise InputError(f"on_truncate: expected 'warn', 'error' or 'ignore', found {on_truncate!r}")
        bundle = Bundle.open(path)

        def load(name: str) -> Encoder:
            return cls._load(bundle, device, name, threads=threads, token_budget=token_budget, on_truncate=on_truncate)

        encoder = load(variant)
        if variant == "auto" and encoder.variant != "fp32" and encoder._has("fp32") and not encoder._agrees():
            warnings.warn(
                f"the variant {encoder.variant!r} does not give its golden vectors on this machine, so fp32 is used: "
                "a CPU without VNNI instructions may overflow in 8-bit products; `embedkit verify` tells more",
                RuntimeWarning,
                stacklevel=2,
            )
            encoder = load("fp32")
        return encoder

    @classmethod
    def _load(
        cls,
        bundle: Bundle,
        device: str,
        variant: str,
        *,
        threads: int | None,
        token_budget: int | None,
        on_truncate: OnTruncate,
    ) -> Encoder:
        kind, index = choose_device(device)
        sessions: dict[str, Session] = {}
        tokenizers: dict[bytes, TextTokenizer] = {}
        roles = {}
        for role in bundle.manifest.towers:
            tower = bundle.tower(role)
            assert tower.graph is not None
            chosen = choose_variant(variant, tower.graph.variants, kind)
            file = tower.graph.variants[chosen].file
            if file not in sessions:
                sessions[file] = Session(bundle.graph_path(role, chosen), device=kind, index=index)
            spec = next(iter(tower.outputs.values()))
            key = msgspec.json.encode((tower.frontend, tower.inputs))
            tokenizer = tokenizers.get(key) or TextTokenizer(
                tower.frontend,
                bundle.path(tower.frontend.tokenizer),
                types=any(entry.source == "types" for entry in tower.inputs),
                choices=[entry.choice for entry in tower.inputs if entry.choice],
            )
            tokenizers[key] = tokenizer
            roles[role] = _Role(tokenizer, sessions[file], tower.inputs, spec.dim, spec.normalized, spec.matryoshka)
        return cls(
            bundle,
            roles,
            device=f"{kind}:{index}" if kind == "cuda" else kind,
            variant=chosen,
            threads=threads or (cpu_count() if kind == "cpu" else 1),
            token_budget=token_budget or (DEFAULT_TOKEN_BUDGET if kind == "cpu" else 32 * DEFAULT_TOKEN_BUDGET),
            on_truncate=on_truncate,
        )

    def _has(self, variant: str) -> bool:
        graph = self.bundle.tower("default").graph
        return graph is not None and variant in graph.variants

    def _agrees(self) -> bool:
        """Whether the first golden texts get the vectors here that they got where the bundle was made."""
        graph = self.bundle.tower("default").graph
        assert graph is not None
        texts, golden = self.bundle.golden()
        role, expected = self._roles["default"], golden["default"][:_CANARIES]
        items = self.fill(texts[:_CANARIES])
        found = np.empty_like(expected)
        for rows, batch in self._batches(role, items, 0)[0]:
            found[rows] = self._run(role, batch)
        cosines = (found * expected).sum(axis=1) / np.maximum(
            np.linalg.norm(found, axis=1) * np.linalg.norm(expected, axis=1), 1e-12
        )
        return bool((cosines >= graph.variants[self.variant].golden_cosine_min - GOLDEN_TOLERANCE).all())

    @property
    def dim(self) -> int:
        """Numbers in a vector."""
        return self._role("default").dim

    @property
    def fingerprint(self) -> str:
        """Names the vector space: vectors of two encoders can be compared where this is equal."""
        return self.bundle.manifest.fingerprint

    @property
    def metric(self) -> Literal["cosine", "dot"]:
        """How this model's vectors are compared."""
        return next(iter(self.bundle.manifest.scorers.values())).fn

    def allows(self, metric: str) -> bool:
        """Whether an index by ``metric`` ranks this model's vectors as the model does: its own does, and where all
        vectors have unit length any does."""
        return metric == self.metric or all(role.normalized for role in self._roles.values())

    @property
    def max_tokens(self) -> int:
        """Tokens of a text that are read, special ones included."""
        return self._role("default").tokenizer.frontend.truncate.max

    @property
    def roles(self) -> list[str]:
        """The names that ``role`` takes."""
        return list(self._roles)

    def fields(self, role: str = "default") -> dict[str, str | None]:
        """The named fields of a role's template in order, then those that choose something (an expert, a domain), each
        with the text that stands for it where it is not given (None where it must be). A lone string fills ``text``,
        or the only field that must be given."""
        tokenizer = self._role(role).tokenizer
        return {**tokenizer.fields, **{choice.field: choice.default for choice in tokenizer.choices}}

    def fill(self, texts: Sequence[str], role: str = "default") -> list[Text]:
        """Items that the role can encode, each with its text in all fields that must be given: for trying a model
        out."""
        return [self._role(role).tokenizer.fill(text, i) for i, text in enumerate(texts)]

    @overload
    def encode(
        self,
        texts: str,
        *,
        role: str = ...,
        dim: int | None = ...,
        precision: Literal["float32"] = ...,
        progress: bool = ...,
    ) -> FloatArray: ...
    @overload
    def encode(
        self,
        texts: Text | Iterable[Text],
        *,
        role: str = ...,
        dim: int | None = ...,
        precision: Literal["float32"] = ...,
        progress: bool = ...,
    ) -> FloatArray: ...
    @overload
    def encode(
        self,
        texts: Text | Iterable[Text],
        *,
        role: str = ...,
        dim: int | None = ...,
        precision: Precision,
        progress: bool = ...,
    ) -> Vectors: ...
    def encode(
        self,
        texts: Text | Iterable[Text],
        *,
        role: str = "default",
        dim: int | None = None,
        precision: Precision = "float32",
        progress: bool = False,
    ) -> Vectors:
        """(n, dim) vectors in input order; a single string (or mapping of fields) gives (dim,).

        ``role`` names the template put around each text; where it has several fields, a text is a mapping of their
        names (see `fields`). ``dim`` keeps the first so many numbers (of unit length again where the model
        normalises); a model trained for certain sizes (Matryoshka) takes only these.
        ``precision`` is ``float32`` or ``float16``. Raises `InputError` naming the
        first text that is not a string or not valid Unicode, before anything is computed for its window.
        """
        if isinstance(texts, str | Mapping):
            one: Vectors = self.encode([texts], role=role, dim=dim, precision=precision)[0]
            return one
        texts = _as_list(texts)
        out: Vectors | None = None
        done = 0
        from tqdm import tqdm

        with tqdm(total=len(texts), unit="text", disable=not progress) as bar:
            for vectors in self.stream(texts, role=role, dim=dim, precision=precision):
                if out is None:
                    out = np.empty((len(texts), vectors.shape[1]), dtype=vectors.dtype)
                out[done : done + len(vectors)] = vectors
                done += len(vectors)
                bar.update(len(vectors))
        if out is None:
            return self._finish(np.empty((0, self._role(role).dim), dtype=np.float32), self._role(role), dim, precision)
        return out

    def encode_query(
        self,
        texts: Text | Iterable[Text],
        *,
        dim: int | None = None,
        precision: Precision = "float32",
        progress: bool = False,
    ) -> Vectors:
        """`encode` with the model's template for queries."""
        return self.encode(texts, role="query", dim=dim, precision=precision, progress=progress)

    def encode_document(
        self,
        texts: Text | Iterable[Text],
        *,
        dim: int | None = None,
        precision: Precision = "float32",
        progress: bool = False,
    ) -> Vectors:
        """`encode` with the model's template for documents."""
        return self.encode(texts, role="document", dim=dim, precision=precision, progress=progress)

    def stream(
        self, texts: Iterable[Text], *, role: str = "default", dim: int | None = None, precision: Precision = "float32"
    ) -> Iterator[Vectors]:
        """Arrays of vectors that together are those of ``texts``, in order; memory does not grow with the number of
        texts.

        Texts are read ahead by at most two windows (2,048 texts or two million characters each).
        """
        if isinstance(texts, str | Mapping):
            raise InputError("stream: expected an iterable of texts, found one; put it in a list")
        chosen = self._role(role)
        _check_precision(precision)
        if dim is not None:
            truncate(np.empty((0, chosen.dim), dtype=np.float32), dim, normalize=False)
            if chosen.matryoshka and dim not in (*chosen.matryoshka, chosen.dim):
                sizes = ", ".join(map(str, sorted({*chosen.matryoshka, chosen.dim})))
                raise InputError(f"dim: this model was trained for the sizes {sizes}, found {dim}")
        return self._stream(texts, chosen, dim, precision)

    def similarity(self, a: npt.ArrayLike, b: npt.ArrayLike) -> FloatArray:
        """(n, m) float32 scores of the rows of ``a`` (n, dim) against those of ``b`` (m, dim), by the model's own
        measure."""
        return similarity(a, b, fn=self.metric)

    def _stream(self, texts: Iterable[Text], role: _Role, dim: int | None, precision: Precision) -> Iterator[Vectors]:
        running: deque[tuple[int, list[tuple[npt.NDArray[np.intp], Future[FloatArray]]]]] = deque()
        truncated = total = 0
        try:
            for window in chain(_windows(texts, role.tokenizer), (None, None)):
                if window is not None:
                    batches, ragged = self._batches(role, window, total)
                    cut = self._count(role, ragged, [rows for rows, _ in batches], total)
                    truncated, total = truncated + cut, total + len(window)
                    running.append(
                        (len(window), [(rows, self._pool.submit(self._run, role, batch)) for rows, batch in batches])
                    )
                if running and (window is None or len(running) == 2):
                    size, futures = running.popleft()
                    vectors = np.empty((size, role.dim), dtype=np.float32)
                    for rows, future in futures:
                        vectors[rows] = future.result()
                    yield self._finish(vectors, role, dim, precision)
        finally:
            for _, futures in running:
                for _, future in futures:
                    future.cancel()
        if truncated and self.on_truncate == "warn":
            warnings.warn(
                f"{truncated:,} of {total:,} texts were longer than the {role.tokenizer.frontend.truncate.max} tokens that the model reads "
                "and were cut; split them into chunks to have all of their text in the vectors",
                TruncationWarning,
                stacklevel=3,
            )

    def _count(self, role: _Role, ragged: Ragged, plans: list[npt.NDArray[np.intp]], before: int) -> int:
        """Take a window into the statistics; how many of its texts were cut, which may be an error."""
        frontend = role.tokenizer.frontend
        cut = int(ragged.truncated.sum())
        if cut and self.on_truncate == "error":
            raise TruncationError(
                f"text {before + int(np.argmax(ragged.truncated))} is longer than the {frontend.truncate.max} tokens that the model reads; "
                "split it into chunks, or load with on_truncate='warn'"
            )
        lengths = ragged.lengths
        with self._lock:
            self.stats.texts += len(lengths)
            self.stats.truncated += cut
            self.stats.tokens += int(lengths.sum())
            self.stats.slots += sum(len(rows) * (frontend.fixed or int(lengths[rows].max())) for rows in plans)
        return cut

    def _batches(
        self, role: _Role, items: Sequence[Text], before: int
    ) -> tuple[list[tuple[npt.NDArray[np.intp], _Batch]], Ragged]:
        """(rows, their tensors) of each batch, and the token ids of all; ``before`` texts came earlier."""
        ragged = role.tokenizer.encode(items)
        lengths = ragged.lengths
        for i in np.flatnonzero(lengths == 0)[:1]:
            raise InputError(f"text {before + i}: the tokenizer makes no token of it, so it has no vector")
        for i, pool in enumerate(ragged.pool):
            if not pool.any():
                raise InputError(
                    f"text {before + i}: no token of it is left to pool, so it has no vector; it may be empty, or cut before its text begins"
                )
        if role.tokenizer.frontend.fixed is not None:
            lengths = np.full_like(lengths, role.tokenizer.frontend.fixed)
        plans = plan(lengths, self.token_budget)
        numbers = {e.name: role.tokenizer.choice(e.choice, items) for e in role.inputs if e.choice is not None}
        sources = {"ids": ragged.ids, "pool_mask": ragged.pool, "types": ragged.types}
        batches = [
            (
                rows,
                _Batch(
                    {source: [values[i] for i in rows] for source, values in sources.items() if values},
                    {name: values[rows] for name, values in numbers.items()},
                ),
            )
            for rows in plans
        ]
        return batches, ragged

    @staticmethod
    def _run(role: _Role, batch: _Batch) -> FloatArray:
        frontend = role.tokenizer.frontend
        ids, mask = pad(batch.ragged["ids"], frontend.pad_id, frontend.fixed)
        tensors = {"ids": ids, "mask": mask, "pool_mask": mask, "types": mask}
        for source in ("pool_mask", "types"):
            if source in batch.ragged:
                tensors[source] = pad(batch.ragged[source], 0, frontend.fixed)[0]
        return role.session.run(
            {
                entry.name: (tensors[entry.source] if entry.choice is None else batch.choices[entry.name]).astype(
                    entry.dtype, copy=False
                )
                for entry in role.inputs
            }
        )

    @staticmethod
    def _finish(vectors: FloatArray, role: _Role, dim: int | None, precision: Precision) -> Vectors:
        if dim is not None:
            vectors = truncate(vectors, dim, normalize=role.normalized)
        return vectors.astype(np.float16) if precision == "float16" else vectors

    def _role(self, role: str) -> _Role:
        if role not in self._roles:
            raise InputError(f"role: this bundle has {', '.join(self._roles)}, found {role!r}")
        return self._roles[role]


def _windows(texts: Iterable[Text], tokenizer: TextTokenizer) -> Iterator[list[Text]]:
    """Lists of consecutive checked texts, bounded in number and in characters."""
    window: list[Text] = []
    characters = 0
    for i, text in enumerate(texts):
        window.append(tokenizer.check(text, f"text {i}"))
        characters += len(text) if isinstance(text, str) else sum(map(len, text.values()))
        if len(window) == _WINDOW_TEXTS or characters >= _WINDOW_CHARACTERS:
            yield window
            window, characters = [], 0
    if window:
        yield window


def _as_list(texts: Text | Iterable[Text]) -> list[Text]:
    if isinstance(texts, bytes) or not isinstance(texts, Iterable):
        raise InputError(f"texts: expected a string or an iterable of strings, found {type(texts).__name__}")
    return texts if isinstance(texts, list) else list(texts)


def _check_precision(precision: str) -> None:
    if precision not in ("float32", "float16"):
        raise InputError(f"precision: expected 'float32' or 'float16', found {precision!r}")
