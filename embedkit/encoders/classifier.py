"""Classes of texts, by a bundle that gives a number for each class."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Self

import numpy as np

from embedkit.errors import OptionError
from embedkit.runtime.frontends.base import Item, Renderer
from embedkit.runtime.options import Decode, OnTruncate
from embedkit.runtime.outputs import activated
from embedkit.vectors.arrays import FloatArray

from .base import BaseEncoder
from .encoder import Encoder
from .info import check_encoder


class Classifier:
    """Gives texts their classes. Several threads may share one.

    A text's probabilities are the same, bit for bit, whatever it is classified together with. ``labels`` are the classes, in
    the order of the numbers; ``multilabel`` tells whether each class is decided by itself, or one of all is chosen.
    """

    def __init__(self, encoder: BaseEncoder) -> None:
        check_encoder(encoder)
        self.encoder = encoder
        self.output = encoder.logits_output()
        about = encoder.outputs()[self.output]
        self.labels = about.labels or [str(i) for i in range(about.dim)]
        self._activation = about.activation
        self.multilabel = about.activation == "sigmoid" or about.dim == 1

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        *,
        device: str = "auto",
        variant: str = "auto",
        engine: str = "auto",
        threads: int | None = None,
        token_budget: int | None = None,
        on_truncate: OnTruncate = "warn",
        decode: Decode = "exact",
        renderer: Renderer | None = None,
    ) -> Self:
        """Load a bundle; options and errors are those of `Encoder.load`, and `InputError` for a bundle without classes."""
        return cls(
            Encoder.load(
                path,
                device=device,
                variant=variant,
                engine=engine,
                threads=threads,
                token_budget=token_budget,
                on_truncate=on_truncate,
                decode=decode,
                renderer=renderer,
            )
        )

    def predict_proba(self, texts: Iterable[Item], *, progress: bool | None = False) -> FloatArray:
        """(n, classes) float32 probabilities, which add up to 1 unless the classes are decided one by one. A text may be a
        mapping of the template's fields, such as a pair's."""
        logits: FloatArray = self.encoder.encode(texts, output=self.output, progress=progress)
        return self.probabilities_of(logits)

    def predict(self, texts: Item | Iterable[Item], *, threshold: float = 0.5, progress: bool | None = False) -> Any:
        """A list with the most probable class of each text, of equally probable ones the first; or, where classes are decided one by one,
        the list of those whose probability is at least ``threshold``. A single text gives one answer."""
        if not 0.0 <= threshold <= 1.0:
            raise OptionError(f"threshold: expected a number from 0 to 1, found {threshold!r}")
        single = self.encoder.modality().is_item(texts)
        given: Iterable[Item] = [texts] if single else texts
        found = self.chosen(self.predict_proba(given, progress=progress), threshold=threshold)
        return found[0] if single else found

    def stream_proba(self, items: Iterable[Item], on_bad: Callable[[int, str], None]) -> Iterator[FloatArray]:
        """`predict_proba` in parts, in bounded memory, without the items that cannot be encoded: ``on_bad`` is called with the
        number and the reason of each."""
        for found in self.encoder.stream_outputs(items, outputs=[self.output], on_bad=on_bad):
            yield self.probabilities_of(np.asarray(found[self.output]))

    def probabilities_of(self, logits: FloatArray) -> FloatArray:
        """What `predict_proba` makes of the (n, classes) numbers that the `output` gives."""
        one_by_one = "sigmoid" if self.multilabel else "softmax"
        return activated(logits, one_by_one if self._activation == "identity" else self._activation)

    def chosen(self, probabilities: FloatArray, *, threshold: float = 0.5) -> list[Any]:
        """What `predict` makes of (n, classes) probabilities."""
        if self.multilabel:
            return [[self.labels[i] for i in np.flatnonzero(row >= threshold)] for row in probabilities]
        return [self.labels[i] for i in probabilities.argmax(axis=1)]
