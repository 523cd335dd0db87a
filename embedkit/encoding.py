"""What every encoder is: texts in, vectors out, in input order and bounded memory, whoever computes them."""

from __future__ import annotations

import threading
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, overload

import numpy as np
import numpy.typing as npt

from .bundle import Bundle
from .errors import InputError, TruncationError
from .precision import Precision, Ranges, Vectors, check_precision, check_ranges, empty, needs_ranges, quantize
from .records import FloatArray
from .scoring import similarity
from .streaming import Part, stream
from .template import Template, Text
from .tower import Computed
from .types import Output
from .vectors import truncate

OnTruncate: TypeAlias = Literal["warn", "error", "ignore"]


class TruncationWarning(UserWarning):
    """Some texts were longer than the model reads."""


@dataclass(slots=True)
class Stats:
    """What an encoder has done since it was loaded. ``texts`` and ``truncated`` count every text; ``tokens``, and
    ``slots`` with padding, what the model read: equal texts that came together once."""

    texts: int = 0
    truncated: int = 0
    tokens: int = 0
    slots: int = 0


@dataclass(frozen=True, slots=True)
class Role:
    """What a role takes and gives."""

    template: Template
    output: Output
    max_tokens: int


class TextEncoder(ABC):
    """An encoder of a bundle. Several threads may share one.

    The same text gives the same vector, bit for bit, whatever it is encoded together with and in whatever order.
    """

    def __init__(
        self,
        bundle: Bundle,
        *,
        device: str,
        variant: str,
        engine: str,
        why: str,
        threads: int,
        token_budget: int,
        on_truncate: OnTruncate,
    ) -> None:
        self.bundle, self.device, self.variant = bundle, device, variant
        self.engine, self.why = engine, why
        self.threads, self.token_budget, self.on_truncate = threads, token_budget, on_truncate
        self.stats = Stats()
        self._lock = threading.Lock()
        self._roles: dict[str, Role] = {}
        for name in bundle.manifest.towers:
            tower = bundle.tower(name)
            template = Template(tower.frontend, [entry.choice for entry in tower.inputs if entry.choice])
            self._roles[name] = Role(template, next(iter(tower.outputs.values())), tower.frontend.truncate.max)

    @abstractmethod
    def _submit(self, role: str, items: list[Text]) -> list[Part]:
        """Begin to compute checked items; each is in exactly one part."""

    @property
    @abstractmethod
    def concurrency(self) -> int:
        """How many small batches are computed at the same time."""

    @property
    def dim(self) -> int:
        """Numbers in a vector."""
        return self._role("default").output.dim

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
        return metric == self.metric or all(role.output.normalized for role in self._roles.values())

    @property
    def max_tokens(self) -> int:
        """Tokens of a text that are read, special ones included."""
        return self._role("default").max_tokens

    @property
    def roles(self) -> list[str]:
        """The names that ``role`` takes."""
        return list(self._roles)

    def fields(self, role: str = "default") -> dict[str, str | None]:
        """The named fields of a role's template in order, then those that choose something (an expert, a domain), each
        with the text that stands for it where it is not given (None where it must be). A lone string fills ``text``,
        or the only field that must be given."""
        template = self._role(role).template
        return {**template.fields, **{choice.field: choice.default for choice in template.choices}}

    def fill(self, texts: Sequence[str], role: str = "default") -> list[Text]:
        """Items that the role can encode, each with its text in all fields that must be given: for trying a model
        out."""
        return [self._role(role).template.fill(text, i) for i, text in enumerate(texts)]

    @overload
    def encode(
        self,
        texts: str,
        *,
        role: str = ...,
        dim: int | None = ...,
        precision: Literal["float32"] = ...,
        ranges: Ranges | npt.ArrayLike | None = ...,
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
        ranges: Ranges | npt.ArrayLike | None = ...,
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
        ranges: Ranges | npt.ArrayLike | None = ...,
        progress: bool = ...,
    ) -> Vectors: ...
    def encode(
        self,
        texts: Text | Iterable[Text],
        *,
        role: str = "default",
        dim: int | None = None,
        precision: Precision = "float32",
        ranges: Ranges | npt.ArrayLike | None = None,
        progress: bool = False,
    ) -> Vectors:
        """(n, dim) vectors in input order; a single string (or mapping of fields) gives (dim,).

        ``role`` names the template put around each text; where it has several fields, a text is a mapping of their
        names (see `fields`). ``dim`` keeps the first so many numbers (of unit length again where the model
        normalises); a model trained for certain sizes (Matryoshka) takes only these.
        ``precision`` is ``float32``, ``float16``, ``int8``, ``uint8``, ``binary`` or ``ubinary``, as in
        `embedkit.quantize`: without ``ranges`` those of int8 and uint8 are these vectors' own, with a warning where
        they are fewer than 100. Raises `InputError` naming the first text that is not a string or not valid Unicode,
        before anything is computed for its window.
        """
        if isinstance(texts, str | Mapping):
            one: Vectors = self.encode([texts], role=role, dim=dim, precision=precision, ranges=ranges)[0]
            return one
        texts = _as_list(texts)
        check_precision(precision)
        own = needs_ranges(precision) and ranges is None
        kept: Precision = "float32" if own else precision
        out: Vectors | None = None
        done = 0
        from tqdm import tqdm

        with tqdm(total=len(texts), unit="text", disable=not progress) as bar:
            for vectors in self.stream(texts, role=role, dim=dim, precision=kept, ranges=ranges):
                if out is None:
                    out = (
                        vectors
                        if len(vectors) == len(texts)
                        else np.empty((len(texts), vectors.shape[1]), vectors.dtype)
                    )
                if out is not vectors:
                    out[done : done + len(vectors)] = vectors
                done += len(vectors)
                bar.update(len(vectors))
        if out is None:
            out = empty(dim or self._role(role).output.dim, kept)
        return quantize(out, precision) if own else out

    def encode_query(
        self,
        texts: Text | Iterable[Text],
        *,
        dim: int | None = None,
        precision: Precision = "float32",
        ranges: Ranges | npt.ArrayLike | None = None,
        progress: bool = False,
    ) -> Vectors:
        """`encode` with the model's template for queries."""
        return self.encode(texts, role="query", dim=dim, precision=precision, ranges=ranges, progress=progress)

    def encode_document(
        self,
        texts: Text | Iterable[Text],
        *,
        dim: int | None = None,
        precision: Precision = "float32",
        ranges: Ranges | npt.ArrayLike | None = None,
        progress: bool = False,
    ) -> Vectors:
        """`encode` with the model's template for documents."""
        return self.encode(texts, role="document", dim=dim, precision=precision, ranges=ranges, progress=progress)

    @overload
    def stream(
        self,
        texts: Iterable[Text],
        *,
        role: str = ...,
        dim: int | None = ...,
        precision: Literal["float32"] = ...,
        ranges: Ranges | npt.ArrayLike | None = ...,
    ) -> Iterator[FloatArray]: ...
    @overload
    def stream(
        self,
        texts: Iterable[Text],
        *,
        role: str = ...,
        dim: int | None = ...,
        precision: Precision,
        ranges: Ranges | npt.ArrayLike | None = ...,
    ) -> Iterator[Vectors]: ...
    def stream(
        self,
        texts: Iterable[Text],
        *,
        role: str = "default",
        dim: int | None = None,
        precision: Precision = "float32",
        ranges: Ranges | npt.ArrayLike | None = None,
    ) -> Iterator[Vectors]:
        """Arrays of vectors that together are those of ``texts``, in order; memory does not grow with the number of
        texts.

        Texts are read ahead by at most two windows (2,048 texts or two million characters each); equal texts of a
        window are computed once. int8 and uint8 need ``ranges``, since no window's own would do for the others.
        """
        if isinstance(texts, str | Mapping):
            raise InputError("stream: expected an iterable of texts, found one; put it in a list")
        output = self._role(role).output
        check_precision(precision)
        if dim is not None:
            truncate(np.empty((0, output.dim), dtype=np.float32), dim, normalize=False)
            if output.matryoshka and dim not in (*output.matryoshka, output.dim):
                sizes = ", ".join(map(str, sorted({*output.matryoshka, output.dim})))
                raise InputError(f"dim: this model was trained for the sizes {sizes}, found {dim}")
        known = None if ranges is None else Ranges.of(ranges)
        if needs_ranges(precision):
            if known is None:
                raise InputError(
                    f"ranges: {precision} needs those of all vectors before the first; give ranges=embedkit.fit_ranges(encoder.encode(sample)) "
                    "of some thousand typical texts"
                )
            check_ranges(known, dim or output.dim)
        return self._stream(texts, role, dim, precision, known)

    def similarity(self, a: npt.ArrayLike, b: npt.ArrayLike) -> FloatArray:
        """(n, m) float32 scores of the rows of ``a`` (n, dim) against those of ``b`` (m, dim), by the model's own
        measure."""
        return similarity(a, b, fn=self.metric)

    def _stream(
        self, texts: Iterable[Text], name: str, dim: int | None, precision: Precision, ranges: Ranges | None
    ) -> Iterator[Vectors]:
        role = self._roles[name]
        truncated = total = 0
        for window in stream(texts, role.template, lambda items: self._submit(name, items), dim=role.output.dim):
            truncated += self._count(role, window, total)
            total += len(window.vectors)
            vectors = window.vectors
            if dim is not None:
                vectors = truncate(vectors, dim, normalize=role.output.normalized)
            yield quantize(vectors, precision, ranges=ranges)
        if truncated and self.on_truncate == "warn":
            warnings.warn(
                f"{truncated:,} of {total:,} texts were longer than the {role.max_tokens} tokens that the model reads and were cut; "
                "split them into chunks to have all of their text in the vectors",
                TruncationWarning,
                stacklevel=3,
            )

    def _count(self, role: Role, window: Computed, before: int) -> int:
        """Take a window into the statistics; how many of its texts were cut, which may be an error."""
        cut = int(window.truncated.sum())
        if cut and self.on_truncate == "error":
            raise TruncationError(
                f"text {before + int(np.argmax(window.truncated))} is longer than the {role.max_tokens} tokens that the model reads; "
                "split it into chunks, or load with on_truncate='warn'"
            )
        with self._lock:
            self.stats.texts += len(window.truncated)
            self.stats.truncated += cut
            self.stats.tokens += window.tokens
            self.stats.slots += window.slots
        return cut

    def _role(self, role: str) -> Role:
        if role not in self._roles:
            raise InputError(f"role: this bundle has {', '.join(self._roles)}, found {role!r}")
        return self._roles[role]


def _as_list(texts: Text | Iterable[Text]) -> list[Text]:
    if isinstance(texts, bytes) or not isinstance(texts, Iterable):
        raise InputError(f"texts: expected a string or an iterable of strings, found {type(texts).__name__}")
    return texts if isinstance(texts, list) else list(texts)
