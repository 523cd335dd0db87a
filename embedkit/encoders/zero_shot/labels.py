"""Vectors of labels: the mean over several texts that name each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from embedkit.checks import items_of
from embedkit.encoders.base import BaseEncoder
from embedkit.encoders.info import check_encoder
from embedkit.errors import InputError
from embedkit.vectors.arrays import FloatArray
from embedkit.vectors.geometry import combine


def encode_labels(
    encoder: BaseEncoder,
    labels: Sequence[str],
    prompts: str | Sequence[str] | None = None,
    *,
    role: str | None = None,
    output: str | None = None,
) -> FloatArray:
    """(labels, dim) float32 of unit length: each label in every text of ``prompts``, these vectors brought to unit length, their
    mean, and that to unit length again (zero-shot classification, Radford et al. 2021).

    Args:
        encoder: what encodes the texts.
        labels: the names.
        prompts: texts with one ``{}`` for the name; or the name of a set of the bundle (`prompt_sets`); None for its only set, or for
            the labels as they are where it has none.
        role: that of the texts; by default the first that reads texts.
        output: one of the role's dense outputs, else the first.

    Raises:
        InputError: no label, or a prompt without a place for it.
    """
    check_encoder(encoder)
    names = list(items_of("labels", labels, "label"))
    if not names or not all(isinstance(name, str) and name.strip() for name in names):
        raise InputError(f"labels: expected at least one, each with some text, found {names!r:.80}")
    texts = _chosen(encoder, prompts)
    role = role or encoder.role_of("text")
    filled = [text.replace("{}", name) for name in names for text in texts]
    vectors = np.asarray(encoder.encode(filled, role=role, output=output), dtype=np.float32)
    return combine(vectors.reshape(len(names), len(texts), -1), normalize=True, first=True)


def prompt_sets(encoder: BaseEncoder) -> dict[str, list[str]]:
    """The sets of prompts that the bundle carries, by name."""
    return {name: list(texts) for name, texts in encoder.bundle.manifest.prompts.items()}


def _chosen(encoder: BaseEncoder, prompts: str | Sequence[str] | None) -> list[str]:
    known = prompt_sets(encoder)
    if prompts is None:
        if len(known) > 1:
            raise InputError(f"prompts: this bundle has several sets; name one of {', '.join(known)}")
        return next(iter(known.values()), ["{}"])
    if isinstance(prompts, str) and prompts in known:
        return known[prompts]
    texts = [prompts] if isinstance(prompts, str) else list(items_of("prompts", prompts, "prompt"))
    wrong = [text for text in texts if not isinstance(text, str) or text.count("{}") != 1]
    if wrong or not texts:
        sets = f", or one of the sets {', '.join(known)}" if known else ""
        raise InputError(f"prompts: expected texts with one {{}} for the label{sets}, found {(wrong or texts)!r:.80}")
    return texts
