"""A classifier made of the names of classes, by a bundle that reads texts and pictures (or sounds) into one space."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from embedkit.bundle.manifest import Matching
from embedkit.encoders.base import BaseEncoder
from embedkit.encoders.info import check_encoder
from embedkit.errors import InputError, OptionError
from embedkit.runtime.frontends.base import Item
from embedkit.runtime.outputs import activated
from embedkit.vectors.arrays import FloatArray
from embedkit.vectors.geometry import unit

from .labels import checked_labels, dense_output, encode_named
from .prompts import templates_of

_AT_A_TIME = 256


class ZeroShot:
    """Gives pictures classes of which nothing but the ``labels`` is known (Radford et al. 2021). Several threads may share one.

    A class is the mean of the vectors of its prompts, each of unit length, at unit length again. A picture's probabilities are
    made of its cosines with the classes as the bundle's ``matching`` says: softmax over the classes, or sigmoid for each by itself
    (SigLIP), in which case ``multilabel`` is true; they are the same, bit for bit, whatever it is classified together with.

    Args:
        encoder: of a bundle that reads texts and another kind of items; of one that reads texts alone these are classified.
        labels: the names of the classes, all different.
        prompts: as `encode_labels` takes them; None is the bundle's only set, or ``photo`` where it has none.
        scale: what cosines are multiplied by in place of what the bundle says, with softmax; needed where that says nothing.

    Raises:
        InputError: labels or templates that are none, or a bundle that says no scale.
    """

    def __init__(
        self,
        encoder: BaseEncoder,
        labels: Iterable[str],
        *,
        prompts: str | os.PathLike[str] | Iterable[str] | None = None,
        scale: float | None = None,
    ) -> None:
        check_encoder(encoder)
        self.encoder, self.labels = encoder, checked_labels(labels)
        self.templates = templates_of(prompts, encoder.bundle.manifest.prompts)
        self.matching = _matching(encoder, scale)
        self.multilabel = self.matching.fn == "sigmoid"
        texts = encoder.role_of("text")
        kinds = dict.fromkeys(encoder.modality(role).frontend.kind for role in encoder.roles)
        self.role = encoder.role_of(next((kind for kind in kinds if kind != "text"), "text"))
        self.output = dense_output(encoder, self.role)
        self.vectors = encode_named(encoder, self.labels, self.templates, role=texts)

    def predict_proba(self, items: Iterable[Item], *, progress: bool | None = False) -> FloatArray:
        """(n, classes) float32 probabilities."""
        vectors: FloatArray = self.encoder.encode(items, role=self.role, output=self.output, progress=progress)
        return self.probabilities(np.atleast_2d(vectors))

    def predict(self, items: Item | Iterable[Item], *, threshold: float = 0.5, progress: bool | None = False) -> Any:
        """A list with the most probable class of each item; where each class is judged by itself, the list of those whose
        probability is at least ``threshold``. A single item gives one answer."""
        if not 0.0 <= threshold <= 1.0:
            raise OptionError(f"threshold: expected a number from 0 to 1, found {threshold!r}")
        single = self.encoder.modality(self.role).is_item(items)
        given: Iterable[Item] = [items] if single else items
        found = self.chosen(self.predict_proba(given, progress=progress), threshold=threshold)
        return found[0] if single else found

    def stream_proba(self, items: Iterable[Item], on_bad: Callable[[int, str], None]) -> Iterator[FloatArray]:
        """`predict_proba` in parts, in bounded memory, without the items that cannot be encoded: ``on_bad`` is called with the
        number and the reason of each."""
        for found in self.encoder.stream_outputs(items, role=self.role, outputs=[self.output], on_bad=on_bad):
            yield self.probabilities(np.asarray(found[self.output]))

    def probabilities(self, vectors: FloatArray) -> FloatArray:
        """(n, classes) float32 of (n, dim) vectors of items, which may come from a store."""
        parts = [self._of_rows(vectors[i : i + _AT_A_TIME]) for i in range(0, len(vectors), _AT_A_TIME)]
        return np.concatenate(parts) if parts else np.empty((0, len(self.labels)), np.float32)

    def chosen(self, probabilities: FloatArray, *, threshold: float = 0.5) -> list[Any]:
        """What `predict` makes of (n, classes) probabilities."""
        if self.multilabel:
            return [[self.labels[i] for i in np.flatnonzero(row >= threshold)] for row in probabilities]
        return [self.labels[i] for i in probabilities.argmax(axis=1)]

    def cosines(self, vectors: FloatArray) -> npt.NDArray[np.float64]:
        """(n, classes) cosines of (n, dim) vectors of items with the classes."""
        # Not a product of matrices, whose sums depend on how many rows it has.
        return np.asarray(np.einsum("id,jd->ij", unit(vectors), self.vectors, optimize=False), dtype=np.float64)

    def _of_rows(self, vectors: FloatArray) -> FloatArray:
        logits: Any = self.matching.scale * self.cosines(vectors) + self.matching.bias
        return activated(logits, self.matching.fn)


def _matching(encoder: BaseEncoder, scale: float | None) -> Matching:
    if scale is not None:
        if isinstance(scale, bool) or not isinstance(scale, int | float) or not 0 < scale < float("inf"):
            raise OptionError(f"scale: expected a number above 0, found {scale!r}")
        return Matching(fn="softmax", scale=float(scale))
    found = encoder.bundle.manifest.matching
    if found is None:
        raise InputError(
            "this bundle does not say by what its cosines become probabilities; export it again, or give a scale, such as 100, which "
            "most models of texts and pictures have learned"
        )
    return found
