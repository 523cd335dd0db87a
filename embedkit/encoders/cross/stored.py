"""Stored features of items scored again, each together with the question, by a bundle that reads both (a cross-encoder)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from embedkit.checks import integer
from embedkit.encoders.encoder import Encoder
from embedkit.encoders.info import check_encoder
from embedkit.errors import InputError
from embedkit.runtime.frontends.base import Item
from embedkit.runtime.outputs import activated
from embedkit.vectors.arrays import FloatArray
from embedkit.vectors.multivector import MultiVectors
from embedkit.vectors.values import Values


@dataclass(frozen=True, slots=True)
class CrossHit:
    """An item's number in what was given, and its score (higher is more relevant)."""

    index: int
    score: float


class CrossScorer:
    """Scores items by what is stored of them (such as a picture's token vectors) and a question, read together by a cross graph of
    the bundle. Several threads may share one; a score is the same, bit for bit, whatever it is computed together with.

    ``stored`` is ``TOWER.OUTPUT`` of the bundle, whose values `rank` takes: `Encoder.encode` gives them in that role by
    ``output=``, and they may be kept in float16.
    """

    def __init__(self, encoder: Encoder, name: str | None = None) -> None:
        check_encoder(encoder)
        known = encoder.bundle.manifest.cross
        if not known or (name is not None and name not in known):
            what = ", ".join(known) or "none; give `cross` in the recipe"
            raise InputError(f"cross: expected a cross graph of this bundle ({what}), found {name!r}")
        about = known[name if name is not None else next(iter(known))]
        self.encoder, self.role, self.stored = encoder, about.tower, about.takes[about.stored]
        parts = encoder.fields(about.tower)
        self._stored = about.stored
        self._question = next(part for part in parts if part != about.stored)
        self._asked = about.takes.get(self._question)

    def values(self, question: Item, features: Values | Sequence[npt.ArrayLike], *, output: str | None = None) -> Any:
        """What the cross graph gives of the question with each of the stored ``features``: of the output named, else the first."""
        return self.encoder.encode(self._items(question, features), role=self.role, output=output)

    def score(self, question: Item, features: Values | Sequence[npt.ArrayLike]) -> FloatArray:
        """(n,) float32: the score of each of n items, by what is stored of it."""
        name, about = next(
            ((name, one) for name, one in self.encoder.outputs(self.role).items() if one.kind == "logits"), (None, None)
        )
        if about is None or about.dim != 1:
            raise InputError(f"the role {self.role!r} gives no score, a single logit; read what it gives with `values`")
        found: FloatArray = self.values(question, features, output=name)
        return activated(found, about.activation)[:, 0]

    def rank(self, question: Item, features: Values | Sequence[npt.ArrayLike], k: int | None = None) -> list[CrossHit]:
        """The ``k`` items with the highest scores (all by default), best first; of equal ones in the given order."""
        if k is not None:
            integer("k", k, least=1)
        scores = self.score(question, features)
        order = np.argsort(-scores, kind="stable")[:k]
        return [CrossHit(int(i), float(scores[i])) for i in order]

    def _items(self, question: Item, features: Values | Sequence[npt.ArrayLike]) -> list[Mapping[str, Any]]:
        if isinstance(features, MultiVectors):
            rows: list[Any] = list(features)
        elif isinstance(features, np.ndarray | Sequence) and not isinstance(features, str | bytes):
            rows = list(features)
        else:
            raise InputError(f"features: expected those of several items, found {type(features).__name__}")
        if self._asked is not None and not isinstance(question, np.ndarray):
            role, _, output = self._asked.partition(".")
            found = self.encoder.encode([question], role=role, output=output)
            question = found[0] if isinstance(found, np.ndarray) else next(iter(found))
        return [{self._question: question, self._stored: row} for row in rows]
