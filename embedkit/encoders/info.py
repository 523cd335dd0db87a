"""What an encoder says of itself: its roles, their items and outputs, and how these are compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from embedkit.bundle.folder import Bundle
from embedkit.bundle.manifest import Output
from embedkit.errors import InputError, OptionError, TruncationError
from embedkit.runtime.frontends.base import Item, Modality
from embedkit.runtime.frontends.registry import modality_of
from embedkit.runtime.options import Decode, EncodeOptions, decoding_space
from embedkit.runtime.outputs import Named, RoleInfo
from embedkit.runtime.tower import BatchResult
from embedkit.vectors.arrays import FloatArray, truncate
from embedkit.vectors.multivector import MultiVectors
from embedkit.vectors.quantization import check_precision
from embedkit.vectors.similarity import power_mean, similarity
from embedkit.vectors.sparse import SparseVectors
from embedkit.vectors.values import Values

_GENERAL = ("default", "query", "document")
"""Roles that say what an item is for, not what it is."""


@dataclass(slots=True)
class Stats:
    """What an encoder has done since it was loaded. ``texts`` and ``truncated`` count every item; ``tokens``, and
    ``slots`` with padding, what the model read: equal items that came together once. ``preparing`` is the time that it took to
    make tensors of items (tokens of texts), in seconds, of all threads together."""

    texts: int = 0
    truncated: int = 0
    tokens: int = 0
    slots: int = 0
    preparing: float = 0.0

    def add(self, done: BatchResult) -> None:
        """Count what was encoded."""
        self.texts += len(done.truncated)
        self.truncated += int(done.truncated.sum())
        self.tokens += done.tokens
        self.slots += done.slots
        self.preparing += done.preparing


class EncoderInfo:
    """The facts of a bundle's roles; ``roles`` are their names, which ``role=`` takes."""

    decode: Decode = "exact"
    """How pictures are decoded."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        found: dict[str, RoleInfo] = {}
        for name in bundle.manifest.towers:
            tower = bundle.tower(name)
            modality = modality_of(tower.frontend, tower.inputs)
            found[name] = RoleInfo(modality, Named("output", tower.outputs), tower.frontend.longest)
        self._roles = Named("role", found)

    @property
    def dim(self) -> int:
        """Numbers in a vector of the first output, where no other size is asked for."""
        return self._first.size

    @property
    def kind(self) -> str:
        """What the first output is: ``dense``, ``sparse``, ``multivector``, ``tokens`` or ``logits``."""
        return self._first.kind

    def outputs(self, role: str = "default") -> dict[str, Output]:
        """What the bundle makes of an item, by name; the first is what is meant where none is named."""
        return dict(self._roles[role].outputs)

    @property
    def fingerprint(self) -> str:
        """Names the vector space: vectors of two encoders can be compared where this is equal."""
        return decoding_space(self.bundle.manifest.fingerprint, self.decode)

    @property
    def metric(self) -> Literal["cosine", "dot", "euclidean"]:
        """How this model's dense vectors are compared."""
        for scorer in self.bundle.manifest.scorers.values():
            if scorer.fn in ("cosine", "dot", "euclidean"):
                return scorer.fn
        return "dot"

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
        """Tokens of a text (or ids of a sequence, ...) that are read, special ones included."""
        return self._roles["default"].max_tokens

    def tokens_read(self, role: str) -> int:
        """`max_tokens` of a role."""
        return self._roles[role].max_tokens

    @property
    def roles(self) -> list[str]:
        """The names that ``role`` takes."""
        return list(self._roles)

    def modality(self, role: str = "default") -> Modality:
        """What a role's items are: how they are checked, told apart, and made of a stored row."""
        return self._roles[role].modality

    def fields(self, role: str = "default") -> dict[str, str | None]:
        """The named fields of a role's items in order, then those that choose something (an expert, a domain), each
        with what stands for it where it is not given (None where it must be). A lone string fills ``text``, or the only
        field that must be given."""
        modality = self._roles[role].modality
        return {**modality.fields, **{choice.field: choice.default for choice in modality.choices}}

    def fill(self, texts: Sequence[str], role: str = "default") -> list[Item]:
        """Items that the role can encode and that the texts stand for, each in all fields that must be given: for trying a
        model out."""
        return [self._roles[role].modality.fill(text, i) for i, text in enumerate(texts)]

    def similarity(self, a: npt.ArrayLike | Values, b: npt.ArrayLike | Values) -> FloatArray:
        """(n, m) float32 scores of the rows of ``a`` (n) against those of ``b`` (m), by the model's own measure: cosine, dot
        product or minus the distance of dense vectors, dot product or cosine of `SparseVectors`, MaxSim of `MultiVectors`
        (questions first), divided by the number of a question's vectors where the model was trained so."""
        if isinstance(a, SparseVectors) and isinstance(b, SparseVectors):
            if self.sparse_cosine:
                lengths = np.maximum(a.lengths()[:, None] * b.lengths()[None, :], 1e-12)
                return np.asarray(a.dot(b) / lengths, dtype=np.float32)
            return a.dot(b)
        if isinstance(a, MultiVectors) and isinstance(b, MultiVectors):
            scores = a.maxsim(b)
            if any(scorer.fn == "meanmaxsim" for scorer in self.bundle.manifest.scorers.values()):
                scores /= np.maximum(np.diff(a.offsets), 1)[:, None].astype(np.float32)
            return scores
        if isinstance(a, SparseVectors | MultiVectors) or isinstance(b, SparseVectors | MultiVectors):
            raise InputError(f"similarity: found {type(a).__name__} and {type(b).__name__}; give two of one kind")
        return similarity(a, b, fn=self.metric)

    def fused_similarity(self, a: Mapping[str, Values], b: Mapping[str, Values]) -> FloatArray:
        """(n, m) float32: the weighted mean of what `similarity` gives of several outputs, with the weights of the bundle; ``a`` and
        ``b`` are values by the outputs' names, as `encode_outputs` gives them. `InputError` where the bundle fuses nothing."""
        weights = next((s.weights for s in self.bundle.manifest.scorers.values() if s.fn == "fused"), {})
        if not weights:
            raise InputError("this bundle compares by one output, and fuses no scores; give `fused` in the recipe")
        missing = [name for name in weights if name not in a or name not in b]
        if missing:
            raise InputError(
                f"fused_similarity: expected values of {', '.join(weights)} on both sides, found none of {missing[0]!r}"
            )
        total = sum(weights.values())
        parts = [self.similarity(a[name], b[name]) * np.float32(weight / total) for name, weight in weights.items()]
        return np.asarray(np.sum(parts, axis=0), dtype=np.float32)

    @property
    def sparse_cosine(self) -> bool:
        """Whether this model's sparse vectors are compared by cosine, which stores, that add up products, do not rank by."""
        return any(scorer.fn == "sparse_cosine" for scorer in self.bundle.manifest.scorers.values())

    def logits_output(self) -> str:
        """The name of the output of kind ``logits``; `InputError` where there is none."""
        given = self.outputs()
        for name, output in given.items():
            if output.kind == "logits":
                return name
        kinds = ", ".join(f"{name} ({output.kind})" for name, output in given.items())
        raise InputError(
            f"this bundle gives no numbers for classes or pairs, but {kinds}; export a model that has a head for them"
        )

    def role_of(self, kind: str) -> str:
        """The first role whose items are of a kind (``text``, ``image``, ``audio``), that of the kind's name before others; `InputError` where
        there is none."""
        found = [name for name, role in self._roles.items() if role.modality.frontend.kind == kind]
        if not found:
            kinds = ", ".join(dict.fromkeys(role.modality.frontend.kind for role in self._roles.values()))
            raise InputError(f"this bundle reads {kinds}, and no {kind}; export a model that does")
        return kind if kind in found else found[0]

    def powered(self, probabilities: Mapping[str, npt.ArrayLike]) -> FloatArray:
        """The product of ``probabilities`` (arrays of one shape, by the outputs that they were made of), each to the power of its
        share of the bundle's weights: of two p^(1 - w) * q^w (see `embedkit.powered`). `InputError` where the bundle has none."""
        weights = next((s.weights for s in self.bundle.manifest.scorers.values() if s.fn == "power"), {})
        if not weights or weights.keys() != probabilities.keys():
            known = ", ".join(weights) or "none here: give `power` in the recipe"
            raise InputError(f"powered: expected probabilities of {known}, found {', '.join(probabilities)}")
        return power_mean([probabilities[name] for name in weights], list(weights.values()))

    def meant(self, options: EncodeOptions, items: object) -> EncodeOptions:
        """The options with the role that is meant: where a general one (default, query, document) reads other items than the first
        of ``items``, the first role that reads those."""
        role = self._roles[options.role]
        if options.role not in _GENERAL or len({each.modality.frontend.kind for each in self._roles.values()}) == 1:
            return options
        whole = any(
            each.modality.claims(items) for each in self._roles.values()
        )  # samples with their rate are one item
        first = items[0] if isinstance(items, list | tuple) and items and not whole else items
        if role.modality.claims(first):
            return options
        found = [name for name, each in self._roles.items() if each.modality.claims(first)]
        named = [name for name in found if name == self._roles[name].modality.frontend.kind]
        return replace(options, role=[*named, *found][0]) if found else options

    def output_for(self, options: EncodeOptions) -> tuple[str, Output]:
        """The name of the output that is meant and what the manifest says of it; `OptionError` where the options are not for it."""
        role = self._roles[options.role]
        name = next(iter(role.outputs)) if options.output is None else options.output
        about, dim = role.outputs[name], options.dim
        check_precision(options.precision)
        if about.kind != "dense":
            if dim is not None or options.precision != "float32":
                raise OptionError(
                    f"dim and precision are for dense vectors, and the output {name!r} is {about.kind}; leave them out"
                )
        elif dim is not None:
            truncate(np.empty((0, about.dim), dtype=np.float32), dim, normalize=False)
            if {*about.matryoshka} - {about.default} and dim not in (*about.matryoshka, about.size, about.dim):
                sizes = ", ".join(map(str, sorted({*about.matryoshka, about.size, about.dim})))
                raise OptionError(f"dim: this model was trained for the sizes {sizes}, found {dim}")
        return name, about

    def too_long(self, role: str, number: int) -> TruncationError:
        """What is raised for an item, by its number, that has more tokens than are read, where that was made an error."""
        about = self._roles[role]
        return TruncationError(
            f"{about.modality.noun} {number} is longer than the {about.max_tokens} tokens that the model reads; split it into chunks, or "
            "load with on_truncate='warn'"
        )

    def cut_notice(self, role: str, cut: int, total: int) -> str:
        """What is warned of where some of the items were cut."""
        about = self._roles[role]
        return (
            f"{cut:,} of {total:,} {about.modality.noun}s were longer than the {about.max_tokens} tokens that the model reads and were cut; "
            "split them into chunks to have all of their text in the vectors"
        )

    def query_role(self, items: object) -> str:
        """The role in which these are encoded as questions: ``query``, or where their type says so another that reads them."""
        return self.meant(EncodeOptions("query"), items).role

    @property
    def _first(self) -> Output:
        return next(iter(self._roles["default"].outputs.values()))


def check_encoder(encoder: object) -> None:
    """`InputError` for what is no encoder, such as the path of a bundle."""
    if isinstance(encoder, EncoderInfo):
        return
    kind, hint = type(encoder).__name__, "load one with Encoder.load(bundle)"
    if isinstance(getattr(encoder, "encoder", None), EncoderInfo):
        hint = "give its attribute encoder"
    raise InputError(f"encoder: expected an Encoder or an EncoderPool, found {kind}; {hint}")
