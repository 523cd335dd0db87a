"""Vectors of parts of texts that are read whole (late chunking, Guenther et al. 2024, arXiv 2409.04701)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from embedkit.bundle.manifest import Output
from embedkit.checks import check_text, items_of
from embedkit.encoders.base import BaseEncoder
from embedkit.encoders.info import check_encoder
from embedkit.errors import InputError
from embedkit.runtime.frontends.base import Item
from embedkit.runtime.frontends.text.spans import Span, TokenSpans
from embedkit.runtime.frontends.text.template import Template
from embedkit.runtime.frontends.text.token_counter import TokenCounter
from embedkit.runtime.outputs import sized
from embedkit.runtime.streaming import OnBad
from embedkit.vectors.arrays import FloatArray
from embedkit.vectors.multivector import MultiVectors

from .parts import Stretch, parts_of

NO_TOKEN = "no token of the text is its own, so it has no vector"
_TOKENS = 1 << 15
"""Tokens whose vectors are held at a time."""


def late_output(encoder: BaseEncoder, role: str) -> tuple[str, Output]:
    """The name of the role's dense output that is a mean of token vectors, and what the manifest says of it. Raises `InputError`
    that says what to do where there is none."""
    if not isinstance(encoder.modality(role), Template):
        raise InputError(
            f"late: parts of texts are pooled, and this bundle reads {encoder.modality(role).noun}s; leave late out"
        )
    for name, about in encoder.outputs(role).items():
        if about.kind == "dense" and about.tokens is not None:
            return name, about
    raise InputError(
        "late: this bundle gives no vectors of tokens that its own are the mean of; export the model again with --late "
        "(embedkit-export MODEL --output BUNDLE --late), which says so where the model pools in another way, and load it here, not by a server"
    )


class SpanEncoder:
    """Encodes parts of texts that are read whole; several threads may share it. Raises `InputError` for a bundle that cannot."""

    def __init__(self, encoder: BaseEncoder, role: str = "document") -> None:
        self.encoder, self.role = encoder, role
        self.output, self.about = late_output(encoder, role)
        template = encoder.modality(role)
        assert isinstance(template, Template)
        self._noun = encoder.modality(role).noun
        self._tokens = TokenSpans(template, encoder.bundle.path(template.frontend.tokenizer))

    def __call__(
        self,
        items: Sequence[Item],
        spans: Sequence[Sequence[Span]],
        *,
        dim: int | None = None,
        on_bad: OnBad | None = None,
    ) -> list[FloatArray | None]:
        """For each of the checked ``items``, which the model reads whole, the (spans, dim) float32 vectors of the ``spans`` of its text,
        NaN of a span without a token; None for one that cannot be encoded, whose number and reason ``on_bad`` is given (without it
        that is an `InputError`)."""
        out: list[FloatArray | None] = [None] * len(items)
        for numbers, members in self._groups(items, spans):
            bad: dict[int, str] = {}
            found = self.encoder.encode_outputs(
                [items[number] for number in numbers],
                role=self.role,
                outputs=[str(self.about.tokens)],
                on_truncate="ignore",
                on_bad=None if on_bad is None else bad.__setitem__,
            )[str(self.about.tokens)]
            assert isinstance(found, MultiVectors)
            good = [place for place in range(len(numbers)) if place not in bad]
            for place, states in zip(good, found, strict=True):
                if len(states) == members[place].shape[1]:
                    out[numbers[place]] = self._vectors(states, members[place], dim)
                else:
                    bad[place] = f"it has {members[place].shape[1]} tokens, of which the model reads {len(states)}"
            for place, reason in sorted(bad.items()):
                if on_bad is None:
                    raise InputError(f"{self._noun} {numbers[place]}: {reason}")
                on_bad(numbers[place], reason)
        return out

    def _groups(
        self, items: Sequence[Item], spans: Sequence[Sequence[Span]]
    ) -> Iterator[tuple[list[int], list[npt.NDArray[np.bool_]]]]:
        """Numbers of items with the tokens of their spans, so many together that their tokens' vectors are not too large."""
        numbers: list[int] = []
        members: list[npt.NDArray[np.bool_]] = []
        tokens = 0
        for number, (item, own) in enumerate(zip(items, spans, strict=True)):
            found = self._tokens.members(item, own)
            if numbers and tokens + found.shape[1] > _TOKENS:
                yield numbers, members
                numbers, members, tokens = [], [], 0
            numbers.append(number)
            members.append(found)
            tokens += found.shape[1]
        if numbers:
            yield numbers, members

    def _vectors(self, states: FloatArray, members: npt.NDArray[np.bool_], dim: int | None) -> FloatArray:
        """(spans, dim) means of (tokens, dim) vectors, each by itself, so that they do not depend on the other spans."""
        means = np.full((len(members), states.shape[1]), np.nan)
        for mean, own in zip(means, members, strict=True):
            if own.any():
                mean[:] = states[own].mean(axis=0, dtype=np.float64)
        if self.about.normalized:
            means /= np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-12)
        made = sized(self.about, means.astype(np.float32), dim)
        assert isinstance(made, np.ndarray)
        return made


class PartsReader:
    """In which parts the texts of one role are read; several threads may share it."""

    def __init__(self, tokens: TokenCounter) -> None:
        self._tokens = tokens
        self._shared = (tokens.max_tokens - tokens.own) // 4

    def __call__(self, text: str, spans: Sequence[Span], whole: Span, metadata: Mapping[str, Any]) -> list[Stretch]:
        """The parts of the characters ``whole`` of a text, whose other fields are in the metadata; a quarter of what the model reads is
        read in two of them."""
        own = self._tokens.whole("", metadata)

        def count(start: int, end: int) -> int:
            return self._tokens.whole(text[start:end], metadata)

        return parts_of(spans, whole, count, most=self._tokens.max_tokens, shared=self._shared, own=own)


def encode_spans(
    encoder: BaseEncoder,
    text: str,
    spans: Sequence[Span],
    *,
    role: str = "document",
    dim: int | None = None,
    fields: Mapping[str, str] | None = None,
) -> FloatArray:
    """(spans, dim) float32: a vector for each part of a text that is read whole, the mean of the part's own tokens, at unit length
    where the model's vectors are (late chunking, arXiv 2409.04701). Compare them with `BaseEncoder.encode_query`.

    A text that is longer than the model is read in parts, of which a quarter is read twice, so that every span is read with what
    stands beside it; what stands before the first and behind the last one is not read then. Special tokens and those of the
    template are pooled with the spans that begin or end what is read together; a span of a whole short text has the vector that
    `BaseEncoder.encode_document` gives, but for the last bits.

    Args:
        encoder: a bundle that was exported with ``--late``.
        text: the text.
        spans: the start and end of each part in characters of it, in order, of at least one token; they may overlap.
        role: the role whose template is put around the text; ``document`` by default.
        dim: cuts vectors to so many numbers, of unit length again where the model normalises; None for all.
        fields: the template's other fields; None where there are none.

    Raises:
        InputError: the bundle gives no vectors of tokens; a span is none of the text, or more than the model reads.
    """
    check_encoder(encoder)
    own = SpanEncoder(encoder, role)
    check_text(text)
    wanted = [_checked(number, span, text) for number, span in enumerate(items_of("spans", spans, "pair"))]
    for number, (before, after) in enumerate(pairwise(wanted), 1):
        if after[0] < before[0] or after[1] < before[1]:
            raise InputError(f"span {number}: expected spans in order, found {after} after {before}")
    modality: Any = encoder.modality(role)
    reader = PartsReader(TokenCounter(modality, encoder.bundle.path(modality.frontend.tokenizer)))
    about = dict(fields or {})
    read = reader(text, wanted, (0, len(text)), about)
    items = [modality.check(modality.of_row(text[part.start : part.end], about), modality.noun) for part in read]
    inside = [[(wanted[i][0] - part.start, wanted[i][1] - part.start) for i in part.spans] for part in read]
    found = [vectors for vectors in own(items, inside, dim=dim) if vectors is not None]
    whole = np.concatenate(found) if found else np.empty((0, dim or own.about.size), np.float32)
    if (empty := np.flatnonzero(np.isnan(whole).any(axis=1))).size:
        raise InputError(f"span {empty[0]}: {NO_TOKEN}")
    return whole


def _checked(number: int, span: object, text: str) -> Span:
    if (
        not isinstance(span, tuple | list)
        or len(span) != 2
        or not all(isinstance(place, int | np.integer) and not isinstance(place, bool) for place in span)
        or not 0 <= span[0] < span[1] <= len(text)
    ):
        raise InputError(
            f"span {number}: expected the start and end of a part of the text, which has {len(text)} characters, found {span!r:.60}"
        )
    return int(span[0]), int(span[1])
