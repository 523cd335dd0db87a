"""What every encoder is: items in, vectors out, in input order and bounded memory, whoever computes them."""

from __future__ import annotations

import threading
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Literal, Protocol, Unpack, overload

import numpy as np
import numpy.typing as npt

from embedkit.bundle.folder import Bundle
from embedkit.bundle.manifest import Output
from embedkit.checks import items_of
from embedkit.errors import InputError, OptionError, TruncationWarning
from embedkit.runtime.frontends.base import Item
from embedkit.runtime.loaded import PendingRows, Setup
from embedkit.runtime.options import (
    EncodeOptions,
    Items,
    Keywords,
    OnTruncate,
    RoleKeywords,
    StreamKeywords,
    check_on_truncate,
)
from embedkit.runtime.outputs import Answer, empty_values, join_answers, sized
from embedkit.runtime.streaming import OnBad, stream
from embedkit.runtime.tower import BatchResult
from embedkit.system.progress import bar_of
from embedkit.vectors.arrays import FloatArray, truncate
from embedkit.vectors.quantization import (
    Precision,
    Ranges,
    Vectors,
    check_ranges,
    empty,
    needs_ranges,
    quantize,
)
from embedkit.vectors.values import Values, concatenate

from .info import EncoderInfo, Stats


class Source(Protocol):
    """What computes: a loaded bundle, or worker processes that each have one."""

    def submit(self, role: str, items: Sequence[Item], outputs: Sequence[str]) -> list[PendingRows]:
        """Begin to compute the named outputs of a role's checked items, each of which is in exactly one part."""
        ...


class BaseEncoder(EncoderInfo, ABC):
    """An encoder of a bundle. Several threads may share one.

    The same item gives the same vector, bit for bit, whatever it is encoded together with and in whatever order.
    """

    def __init__(self, bundle: Bundle, setup: Setup, source: Source, *, on_truncate: OnTruncate) -> None:
        super().__init__(bundle)
        self.source, self.on_truncate = source, on_truncate
        self.device, self.variant, self.engine, self.why = setup.device, setup.variant, setup.engine, setup.why
        self.threads, self.token_budget, self.decode = setup.threads, setup.token_budget, setup.decode
        self.stats = Stats()
        self._lock = threading.Lock()

    @property
    @abstractmethod
    def concurrency(self) -> int:
        """How many small batches are computed at the same time."""

    @overload
    def encode(
        self, texts: Items, *, precision: Literal["float32"] = ..., output: None = ..., **options: Unpack[Keywords]
    ) -> FloatArray: ...
    @overload
    def encode(
        self, texts: Items, *, precision: Precision, output: None = ..., **options: Unpack[Keywords]
    ) -> Vectors: ...
    @overload
    def encode(
        self, texts: Items, *, precision: Precision = ..., output: str | None, **options: Unpack[Keywords]
    ) -> Any: ...
    def encode(
        self,
        texts: Items,
        *,
        role: str = "default",
        dim: int | None = None,
        precision: Precision = "float32",
        ranges: Ranges | npt.ArrayLike | None = None,
        progress: bool | None = False,
        output: str | None = None,
        on_truncate: OnTruncate | None = None,
    ) -> Any:
        """(n, dim) vectors in input order; a single item (a string, a mapping of fields, a picture) gives (dim,).

        Args:
            texts: An item, or any number of them: strings; where the role's template has several fields, mappings of their
                names (see `fields`); sequences of integers for a bundle of ids; pictures, sounds (`encode_image`, `encode_audio`).
            role: The name of a role, whose template is put around each text; of default, query and document the type of the first
                item decides among those that read texts, pictures and sounds.
            dim: Keep the first so many numbers (of unit length again where the model normalises); a model trained for
                certain sizes (Matryoshka) takes only these. Of dense vectors only, and so is ``precision``.
            precision: ``float32``, ``float16``, ``int8``, ``uint8``, ``binary`` or ``ubinary``, as in `embedkit.quantize`.
            ranges: Of int8 and uint8, (2, dim) or `Ranges`: without, these vectors' own, with a warning of fewer than 100.
            progress: Show a bar on stderr; None: in a terminal.
            output: One of `outputs`, else the first. Sparse ones come as `SparseVectors`, multi-vectors and tokens as
                `MultiVectors` (a single item gives one row of these), logits as an (n, labels) array.
            on_truncate: What an item longer than the model reads gives: ``warn``, ``error`` or ``ignore``; None as loaded.

        Raises:
            InputError: names the first item that cannot be encoded, before anything is computed for its window.
            TruncationError: an item is too long, and that was made an error.
        """
        return self.encode_with(
            texts, EncodeOptions(role, dim, precision, ranges, output, on_truncate), progress=progress
        )

    @overload
    def encode_query(
        self, texts: Items, *, precision: Literal["float32"] = ..., output: None = ..., **options: Unpack[RoleKeywords]
    ) -> FloatArray: ...
    @overload
    def encode_query(
        self, texts: Items, *, precision: Precision, output: None = ..., **options: Unpack[RoleKeywords]
    ) -> Vectors: ...
    @overload
    def encode_query(
        self, texts: Items, *, precision: Precision = ..., output: str | None, **options: Unpack[RoleKeywords]
    ) -> Any: ...
    def encode_query(
        self,
        texts: Items,
        *,
        dim: int | None = None,
        precision: Precision = "float32",
        ranges: Ranges | npt.ArrayLike | None = None,
        progress: bool | None = False,
        output: str | None = None,
        on_truncate: OnTruncate | None = None,
    ) -> Any:
        """`encode` in the role ``query``, with the model's template for queries."""
        return self.encode_with(
            texts, EncodeOptions("query", dim, precision, ranges, output, on_truncate), progress=progress
        )

    @overload
    def encode_document(
        self, texts: Items, *, precision: Literal["float32"] = ..., output: None = ..., **options: Unpack[RoleKeywords]
    ) -> FloatArray: ...
    @overload
    def encode_document(
        self, texts: Items, *, precision: Precision, output: None = ..., **options: Unpack[RoleKeywords]
    ) -> Vectors: ...
    @overload
    def encode_document(
        self, texts: Items, *, precision: Precision = ..., output: str | None, **options: Unpack[RoleKeywords]
    ) -> Any: ...
    def encode_document(
        self,
        texts: Items,
        *,
        dim: int | None = None,
        precision: Precision = "float32",
        ranges: Ranges | npt.ArrayLike | None = None,
        progress: bool | None = False,
        output: str | None = None,
        on_truncate: OnTruncate | None = None,
    ) -> Any:
        """`encode` in the role ``document``, with the model's template for documents."""
        return self.encode_with(
            texts, EncodeOptions("document", dim, precision, ranges, output, on_truncate), progress=progress
        )

    def encode_image(self, images: Items, **options: Unpack[RoleKeywords]) -> Any:
        """`encode` of pictures (paths, `embedkit.Image`, pictures of Pillow, uint8 arrays), in the first role that reads them."""
        return self.encode(images, role=self.role_of("image"), **options)

    def encode_audio(self, sounds: Items, **options: Unpack[RoleKeywords]) -> Any:
        """`encode` of sounds (paths, `embedkit.Audio`, pairs of samples and their rate), in the first role that reads them."""
        return self.encode(sounds, role=self.role_of("audio"), **options)

    @overload
    def stream(
        self,
        texts: Iterable[Item],
        *,
        precision: Literal["float32"] = ...,
        output: None = ...,
        **options: Unpack[StreamKeywords],
    ) -> Iterator[FloatArray]: ...
    @overload
    def stream(
        self, texts: Iterable[Item], *, precision: Precision, output: None = ..., **options: Unpack[StreamKeywords]
    ) -> Iterator[Vectors]: ...
    @overload
    def stream(
        self,
        texts: Iterable[Item],
        *,
        precision: Precision = ...,
        output: str | None,
        **options: Unpack[StreamKeywords],
    ) -> Iterator[Any]: ...
    def stream(
        self,
        texts: Iterable[Item],
        *,
        role: str = "default",
        dim: int | None = None,
        precision: Precision = "float32",
        ranges: Ranges | npt.ArrayLike | None = None,
        output: str | None = None,
        on_truncate: OnTruncate | None = None,
    ) -> Iterator[Any]:
        """What `encode` gives, in parts that together are all of it, in order, in memory that does not grow with their number.

        Items are read ahead by at most two windows (2,048 items, two million characters or 64 MB each); equal items of a
        window are computed once. int8 and uint8 need ``ranges``, since no window's own would do for the others.
        """
        return self._stream_parts(texts, EncodeOptions(role, dim, precision, ranges, output, on_truncate))

    def encode_outputs(
        self,
        texts: Iterable[Item],
        *,
        role: str = "default",
        outputs: Sequence[str] | None = None,
        dim: int | None = None,
        progress: bool | None = False,
        on_truncate: OnTruncate | None = None,
        on_bad: OnBad | None = None,
    ) -> dict[str, Values]:
        """All outputs (or those that are named) of one pass over ``texts``, by name, as `encode` gives them one by one, dense ones cut
        to ``dim`` numbers, be the model trained for that size or not. An item that cannot be encoded is an error, or where ``on_bad``
        is given left out: that gets its number and the reason."""
        texts = texts if isinstance(texts, list) else list(items_of("texts", texts))
        chosen = self._roles[role].outputs
        parts: dict[str, list[Values]] = {name: [] for name in self._names(role, outputs)}
        with bar_of(len(texts), progress) as bar:
            for found in self.stream_outputs(
                texts, role=role, outputs=outputs, dim=dim, on_truncate=on_truncate, on_bad=on_bad
            ):
                for name, values in found.items():
                    parts[name].append(values)
                bar.update(len(next(iter(found.values()))))
        none = {name: empty_values(chosen[name], dim) for name, given in parts.items() if not given}
        return {name: concatenate(given) if given else none[name] for name, given in parts.items()}

    def stream_outputs(
        self,
        texts: Iterable[Item],
        *,
        role: str = "default",
        outputs: Sequence[str] | None = None,
        dim: int | None = None,
        on_truncate: OnTruncate | None = None,
        on_bad: OnBad | None = None,
    ) -> Iterator[dict[str, Values]]:
        """`encode_outputs` in parts; memory does not grow with the number of items."""
        options = EncodeOptions(role, on_truncate=on_truncate)
        self._refuse_one(texts, role, "stream_outputs")
        names, about = self._names(role, outputs), self._roles[role].outputs
        for name in names:
            if dim is not None and about[name].kind == "dense":
                truncate(np.empty((0, about[name].dim), np.float32), dim, normalize=False)
        windows = self._windows(texts, options, names, on_bad)
        return ({name: sized(about[name], values, dim) for name, values in window.values.items()} for window in windows)

    def encode_counted(self, items: list[Item], options: EncodeOptions, *, on_bad: OnBad | None = None) -> Answer:
        """`encode_with` of several items of the role that the options name, with what the model read of each; those that cannot be
        encoded are left out where ``on_bad`` is given (see `encode_outputs`). Nothing is said of cut items: the answer tells."""
        name, about = self.output_for(options)
        finish = self._finisher(options, about, options.precision)
        results = self._windows(items, replace(options, on_truncate="ignore"), [name], on_bad)
        parts = [Answer(finish(found.values[name]), found.counts, found.truncated) for found in results]
        none = empty(options.dim or about.size, options.precision) if about.kind == "dense" else empty_values(about)
        return join_answers(parts, none)

    def encode_with(self, texts: Items, options: EncodeOptions, *, progress: bool | None = False) -> Any:
        """`encode`, with its keywords as one object."""
        options = self.meant(options, texts)
        if self._roles[options.role].modality.is_item(texts):
            one = self.encode_with([texts], options, progress=progress)
            return one[0] if isinstance(one, np.ndarray) else one
        texts = texts if isinstance(texts, list) else list(items_of("texts", texts))
        name, about = self.output_for(options)
        if about.kind != "dense":
            return self.encode_outputs(
                texts, role=options.role, outputs=[name], progress=progress, on_truncate=options.on_truncate
            )[name]
        own = options.precision != "float32" and options.ranges is None and needs_ranges(options.precision)
        precision: Precision = "float32" if own else options.precision
        out: Vectors | None = None
        done = 0
        with bar_of(len(texts), progress) as bar:
            for vectors in self._dense(texts, options, name, about, precision):
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
        whole = empty(options.dim or about.size, precision) if out is None else out
        return quantize(whole, options.precision) if own else whole

    def _stream_parts(self, texts: Iterable[Item], options: EncodeOptions) -> Iterator[Any]:
        self._refuse_one(texts, options.role, "stream")
        name, about = self.output_for(options)
        if about.kind != "dense":
            return (found.values[name] for found in self._windows(texts, options, [name]))
        if needs_ranges(options.precision) and options.ranges is None:
            raise OptionError(
                f"ranges: {options.precision} needs those of all vectors before the first; give "
                "ranges=embedkit.fit_ranges(encoder.encode(sample)) of some thousand typical texts"
            )
        return self._dense(texts, options, name, about, options.precision)

    def _dense(
        self, texts: Iterable[Item], options: EncodeOptions, name: str, about: Output, precision: Precision
    ) -> Iterator[Any]:
        """Windows of dense vectors, cut and in a precision; the ranges are checked before the first."""
        finish = self._finisher(options, about, precision)
        return (finish(found.values[name]) for found in self._windows(texts, options, [name]))

    def _finisher(self, options: EncodeOptions, about: Output, precision: Precision) -> Callable[[Any], Any]:
        """What makes of an output's values those that the options ask for; the ranges are checked here."""
        ranges = None if options.ranges is None else Ranges.of(options.ranges)
        if ranges is not None and needs_ranges(precision):
            check_ranges(ranges, options.dim or about.size)
        dim = options.dim or about.default
        if about.kind != "dense" or (dim is None and precision == "float32"):
            return lambda values: sized(about, values, None)

        def finished(vectors: Any) -> Vectors:
            if dim is not None:
                vectors = truncate(vectors, dim, normalize=about.normalized)
            return quantize(vectors, precision, ranges=ranges)

        return finished

    def _windows(
        self, texts: Iterable[Item], options: EncodeOptions, outputs: Sequence[str], on_bad: OnBad | None = None
    ) -> Iterator[BatchResult]:
        """Windows of the named outputs; what the options say of cut items is checked before the first."""
        if options.on_truncate is not None:
            check_on_truncate(options.on_truncate)
        role = self._roles[options.role]
        submit = partial(self.source.submit, options.role, outputs=outputs)
        return self._counted(
            stream(texts, role.modality, submit, on_bad), options.role, options.on_truncate or self.on_truncate
        )

    def _counted(self, windows: Iterator[BatchResult], role: str, on_truncate: OnTruncate) -> Iterator[BatchResult]:
        """Each window, taken into the statistics; a warning at the end where items were cut."""
        truncated = total = 0
        for window in windows:
            truncated += self._count(role, window, total, on_truncate)
            total += len(window.truncated)
            yield window
        if truncated and on_truncate == "warn":
            warnings.warn(self.cut_notice(role, truncated, total), TruncationWarning, stacklevel=4)

    def _count(self, role: str, window: BatchResult, before: int, on_truncate: OnTruncate) -> int:
        """Take a window into the statistics; how many of its items were cut, which may be an error."""
        cut = int(window.truncated.sum())
        if cut and on_truncate == "error":
            raise self.too_long(role, before + int(np.argmax(window.truncated)))
        with self._lock:
            self.stats.add(window)
        return cut

    def _names(self, role: str, outputs: Sequence[str] | None) -> list[str]:
        given = self._roles[role].outputs
        if outputs is not None and not [given[name] for name in items_of("outputs", outputs, "name")]:
            raise OptionError(f"outputs: expected at least one of {', '.join(given)}, found none")
        return list(given if outputs is None else dict.fromkeys(outputs))

    def _refuse_one(self, texts: object, role: str, call: str) -> None:
        modality = self._roles[role].modality
        if modality.is_item(texts):
            raise InputError(f"{call}: expected an iterable of {modality.noun}s, found one; put it in a list")
        items_of("texts", texts)
