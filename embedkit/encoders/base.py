"""What every encoder is: texts in, vectors out, in input order and bounded memory, whoever computes them."""

from __future__ import annotations

import threading
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, overload

import numpy as np
import numpy.typing as npt

from embedkit.bundle.folder import Bundle
from embedkit.bundle.manifest import Output
from embedkit.errors import InputError, TruncationError, TruncationWarning
from embedkit.runtime.frontends.template import Template, Text
from embedkit.runtime.outputs import Role, none
from embedkit.runtime.streaming import Part, stream
from embedkit.runtime.tower import Computed
from embedkit.vectors.arrays import FloatArray, truncate
from embedkit.vectors.multivector import MultiVectors
from embedkit.vectors.quantization import (
    Precision,
    Ranges,
    Vectors,
    check_precision,
    check_ranges,
    empty,
    needs_ranges,
    quantize,
)
from embedkit.vectors.similarity import similarity
from embedkit.vectors.sparse import SparseVectors
from embedkit.vectors.values import Values, concatenate

OnTruncate: TypeAlias = Literal["warn", "error", "ignore"]


@dataclass(slots=True)
class Stats:
    """What an encoder has done since it was loaded. ``texts`` and ``truncated`` count every text; ``tokens``, and
    ``slots`` with padding, what the model read: equal texts that came together once."""

    texts: int = 0
    truncated: int = 0
    tokens: int = 0
    slots: int = 0


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
            self._roles[name] = Role(template, tower.outputs, tower.frontend.truncate.max)

    @abstractmethod
    def _submit(self, role: str, items: list[Text], outputs: Sequence[str]) -> list[Part]:
        """Begin to compute the named outputs of checked items; each item is in exactly one part."""

    @property
    @abstractmethod
    def concurrency(self) -> int:
        """How many small batches are computed at the same time."""

    @property
    def dim(self) -> int:
        """Numbers in a vector of the first output."""
        return self._role("default").output.dim

    @property
    def kind(self) -> str:
        """What the first output is: ``dense``, ``sparse``, ``multivector``, ``tokens`` or ``logits``."""
        return self._role("default").output.kind

    def outputs(self, role: str = "default") -> dict[str, Output]:
        """What the bundle makes of a text, by name; the first is what is meant where none is named."""
        return dict(self._role(role).outputs)

    @property
    def fingerprint(self) -> str:
        """Names the vector space: vectors of two encoders can be compared where this is equal."""
        return self.bundle.manifest.fingerprint

    @property
    def metric(self) -> Literal["cosine", "dot"]:
        """How this model's dense vectors are compared."""
        dense = (scorer.fn for scorer in self.bundle.manifest.scorers.values() if scorer.fn in ("cosine", "dot"))
        return next(dense, "dot")

    def allows(self, metric: str) -> bool:
        """Whether an index by ``metric`` ranks this model's dense vectors as the model does: its own does, and where all
        vectors have unit length any does."""
        return metric == self.metric or all(
            output.normalized
            for role in self._roles.values()
            for output in role.outputs.values()
            if output.kind == "dense"
        )

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
        output: None = ...,
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
        output: None = ...,
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
        output: None = ...,
    ) -> Vectors: ...
    @overload
    def encode(
        self,
        texts: Text | Iterable[Text],
        *,
        role: str = ...,
        dim: int | None = ...,
        precision: Precision = ...,
        ranges: Ranges | npt.ArrayLike | None = ...,
        progress: bool = ...,
        output: str | None,
    ) -> Any: ...
    def encode(
        self,
        texts: Text | Iterable[Text],
        *,
        role: str = "default",
        dim: int | None = None,
        precision: Precision = "float32",
        ranges: Ranges | npt.ArrayLike | None = None,
        progress: bool = False,
        output: str | None = None,
    ) -> Any:
        """(n, dim) vectors in input order; a single string (or mapping of fields) gives (dim,).

        ``output`` names one of `outputs`, else it is the first. Sparse ones come as `SparseVectors`, multi-vectors and
        tokens as `MultiVectors` (a single string gives one row of these), logits as an (n, labels) array; ``dim`` and
        ``precision`` are for dense vectors only.

        ``role`` names the template put around each text; where it has several fields, a text is a mapping of their
        names (see `fields`). ``dim`` keeps the first so many numbers (of unit length again where the model
        normalises); a model trained for certain sizes (Matryoshka) takes only these.
        ``precision`` is ``float32``, ``float16``, ``int8``, ``uint8``, ``binary`` or ``ubinary``, as in
        `embedkit.quantize`: without ``ranges`` those of int8 and uint8 are these vectors' own, with a warning where
        they are fewer than 100. Raises `InputError` naming the first text that is not a string or not valid Unicode,
        before anything is computed for its window.
        """
        return self._encode(texts, role, dim, precision, ranges, progress, output)

    def encode_query(
        self,
        texts: Text | Iterable[Text],
        *,
        dim: int | None = None,
        precision: Precision = "float32",
        ranges: Ranges | npt.ArrayLike | None = None,
        progress: bool = False,
        output: str | None = None,
    ) -> Any:
        """`encode` with the model's template for queries."""
        return self._encode(texts, "query", dim, precision, ranges, progress, output)

    def encode_document(
        self,
        texts: Text | Iterable[Text],
        *,
        dim: int | None = None,
        precision: Precision = "float32",
        ranges: Ranges | npt.ArrayLike | None = None,
        progress: bool = False,
        output: str | None = None,
    ) -> Any:
        """`encode` with the model's template for documents."""
        return self._encode(texts, "document", dim, precision, ranges, progress, output)

    @overload
    def stream(
        self,
        texts: Iterable[Text],
        *,
        role: str = ...,
        dim: int | None = ...,
        precision: Literal["float32"] = ...,
        ranges: Ranges | npt.ArrayLike | None = ...,
        output: None = ...,
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
        output: None = ...,
    ) -> Iterator[Vectors]: ...
    @overload
    def stream(
        self,
        texts: Iterable[Text],
        *,
        role: str = ...,
        dim: int | None = ...,
        precision: Precision = ...,
        ranges: Ranges | npt.ArrayLike | None = ...,
        output: str | None,
    ) -> Iterator[Any]: ...
    def stream(
        self,
        texts: Iterable[Text],
        *,
        role: str = "default",
        dim: int | None = None,
        precision: Precision = "float32",
        ranges: Ranges | npt.ArrayLike | None = None,
        output: str | None = None,
    ) -> Iterator[Any]:
        """What `encode` gives, in parts that together are all of it, in order; memory does not grow with the number of
        texts.

        Texts are read ahead by at most two windows (2,048 texts or two million characters each); equal texts of a
        window are computed once. int8 and uint8 need ``ranges``, since no window's own would do for the others.
        """
        return self._windows(texts, role, dim, precision, ranges, output)

    def encode_outputs(
        self,
        texts: Iterable[Text],
        *,
        role: str = "default",
        outputs: Sequence[str] | None = None,
        progress: bool = False,
    ) -> dict[str, Values]:
        """All outputs (or those that are named) of one pass over ``texts``, by name, as `encode` gives them one by one."""
        from tqdm import tqdm

        texts = _as_list(texts)
        chosen = self._role(role).outputs
        parts: dict[str, list[Values]] = {name: [] for name in self._names(role, outputs)}
        with tqdm(total=len(texts), unit="text", disable=not progress) as bar:
            for found in self.stream_outputs(texts, role=role, outputs=outputs):
                for name, values in found.items():
                    parts[name].append(values)
                bar.update(len(next(iter(found.values()))))
        return {name: concatenate(given) if given else none(chosen[name]) for name, given in parts.items()}

    def stream_outputs(
        self, texts: Iterable[Text], *, role: str = "default", outputs: Sequence[str] | None = None
    ) -> Iterator[dict[str, Values]]:
        """`encode_outputs` in parts; memory does not grow with the number of texts."""
        if isinstance(texts, str | Mapping):
            raise InputError("stream_outputs: expected an iterable of texts, found one; put it in a list")
        return self._stream(texts, role, self._names(role, outputs))

    def similarity(self, a: npt.ArrayLike | Values, b: npt.ArrayLike | Values) -> FloatArray:
        """(n, m) float32 scores of the rows of ``a`` (n) against those of ``b`` (m), by the model's own measure: cosine or
        dot product of dense vectors, dot product of `SparseVectors`, MaxSim of `MultiVectors` (questions first), divided by
        the number of a question's vectors where the model was trained so."""
        if isinstance(a, SparseVectors) and isinstance(b, SparseVectors):
            return a.dot(b)
        if isinstance(a, MultiVectors) and isinstance(b, MultiVectors):
            scores = a.maxsim(b)
            if any(scorer.fn == "meanmaxsim" for scorer in self.bundle.manifest.scorers.values()):
                scores /= np.maximum(np.diff(a.offsets), 1)[:, None].astype(np.float32)
            return scores
        if isinstance(a, SparseVectors | MultiVectors) or isinstance(b, SparseVectors | MultiVectors):
            raise InputError(f"similarity: found {type(a).__name__} and {type(b).__name__}; give two of one kind")
        return similarity(a, b, fn=self.metric)

    def _encode(
        self,
        texts: Text | Iterable[Text],
        role: str,
        dim: int | None,
        precision: Precision,
        ranges: Ranges | npt.ArrayLike | None,
        progress: bool,
        output: str | None,
    ) -> Any:
        if isinstance(texts, str | Mapping):
            one = self._encode([texts], role, dim, precision, ranges, progress, output)
            return one[0] if isinstance(one, np.ndarray) else one
        texts = _as_list(texts)
        name = self._role(role).name(output)
        about = self._role(role).outputs[name]
        check_precision(precision)
        if about.kind != "dense":
            _refuse_options(name, about, dim, precision)
            return self.encode_outputs(texts, role=role, outputs=[name], progress=progress)[name]
        own = needs_ranges(precision) and ranges is None
        kept: Precision = "float32" if own else precision
        out: Vectors | None = None
        done = 0
        from tqdm import tqdm

        with tqdm(total=len(texts), unit="text", disable=not progress) as bar:
            for vectors in self._windows(texts, role, dim, kept, ranges, output):
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
            out = empty(dim or about.dim, kept)
        return quantize(out, precision) if own else out

    def _windows(
        self,
        texts: Iterable[Text],
        role: str,
        dim: int | None,
        precision: Precision,
        ranges: Ranges | npt.ArrayLike | None,
        output: str | None,
    ) -> Iterator[Any]:
        if isinstance(texts, str | Mapping):
            raise InputError("stream: expected an iterable of texts, found one; put it in a list")
        name = self._role(role).name(output)
        about = self._role(role).outputs[name]
        check_precision(precision)
        if about.kind != "dense":
            _refuse_options(name, about, dim, precision)
            return (found[name] for found in self.stream_outputs(texts, role=role, outputs=[name]))
        if dim is not None:
            truncate(np.empty((0, about.dim), dtype=np.float32), dim, normalize=False)
            if about.matryoshka and dim not in (*about.matryoshka, about.dim):
                sizes = ", ".join(map(str, sorted({*about.matryoshka, about.dim})))
                raise InputError(f"dim: this model was trained for the sizes {sizes}, found {dim}")
        known = None if ranges is None else Ranges.of(ranges)
        if needs_ranges(precision):
            if known is None:
                raise InputError(
                    f"ranges: {precision} needs those of all vectors before the first; give ranges=embedkit.fit_ranges(encoder.encode(sample)) "
                    "of some thousand typical texts"
                )
            check_ranges(known, dim or about.dim)
        return self._dense(texts, role, name, dim, precision, known)

    def _names(self, role: str, outputs: Sequence[str] | None) -> list[str]:
        about = self._role(role)
        if isinstance(outputs, str):
            raise InputError(f"outputs: expected a list of names, found the string {outputs!r}")
        return list(about.outputs) if outputs is None else [about.name(name) for name in dict.fromkeys(outputs)]

    def _dense(
        self, texts: Iterable[Text], role: str, name: str, dim: int | None, precision: Precision, ranges: Ranges | None
    ) -> Iterator[Vectors]:
        normalized = self._roles[role].outputs[name].normalized
        for found in self._stream(texts, role, [name]):
            vectors: Any = found[name]
            if dim is not None:
                vectors = truncate(vectors, dim, normalize=normalized)
            yield quantize(vectors, precision, ranges=ranges)

    def _stream(self, texts: Iterable[Text], name: str, outputs: Sequence[str]) -> Iterator[dict[str, Values]]:
        role = self._roles[name]
        truncated = total = 0
        for window in stream(texts, role.template, lambda items: self._submit(name, items, outputs)):
            truncated += self._count(role, window, total)
            total += len(window.truncated)
            yield window.values
        if truncated and self.on_truncate == "warn":
            warnings.warn(
                f"{truncated:,} of {total:,} texts were longer than the {role.max_tokens} tokens that the model reads and were cut; "
                "split them into chunks to have all of their text in the vectors",
                TruncationWarning,
                stacklevel=4,
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


def _refuse_options(name: str, output: Output, dim: int | None, precision: str) -> None:
    if dim is not None or precision != "float32":
        raise InputError(
            f"dim and precision are for dense vectors, and the output {name!r} is {output.kind}; leave them out"
        )
