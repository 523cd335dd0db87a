"""Vectors of labels: the mean over several texts that name each."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

import numpy as np

from embedkit.checks import items_of
from embedkit.encoders.base import BaseEncoder
from embedkit.encoders.info import check_encoder
from embedkit.errors import InputError
from embedkit.vectors.arrays import FloatArray
from embedkit.vectors.geometry import unit

from .prompts import PLACE, templates_of


def encode_labels(
    encoder: BaseEncoder,
    labels: Iterable[str],
    prompts: str | os.PathLike[str] | Iterable[str] | None = None,
    *,
    role: str | None = None,
    output: str | None = None,
) -> FloatArray:
    """(labels, dim) float32 of unit length: each label in every text of ``prompts``, these vectors brought to unit length, their
    mean, and that to unit length again (zero-shot classification, Radford et al. 2021).

    Args:
        encoder: what encodes the texts.
        labels: the names, all different.
        prompts: a set by its name (one that the bundle carries, or ``photo``, ``imagenet``, ``plain``), a file of templates, or
            templates with one ``{}`` for the name; None for the bundle's only set, or for the labels as they are where it has none.
        role: that of the texts; by default the first that reads texts.
        output: one of the role's dense outputs, else the first.

    Raises:
        InputError: no label, one twice, or a prompt without a place for it.
    """
    check_encoder(encoder)
    names = checked_labels(labels)
    templates = templates_of(prompts, encoder.bundle.manifest.prompts, default="plain")
    return encode_named(encoder, names, templates, role=role, output=output)


def encode_named(
    encoder: BaseEncoder,
    names: Sequence[str],
    templates: Sequence[str],
    *,
    role: str | None = None,
    output: str | None = None,
) -> FloatArray:
    """`encode_labels` of checked names and templates, in bounded memory."""
    role = role or encoder.role_of("text")
    output = output or dense_output(encoder, role)
    texts = (template.replace(PLACE, name) for name in names for template in templates)
    sums = np.zeros((len(names), encoder.outputs(role)[output].size))
    done = 0
    for found in encoder.stream_outputs(texts, role=role, outputs=[output]):
        vectors = unit(np.asarray(found[output]))
        np.add.at(sums, np.arange(done, done + len(vectors)) // len(templates), vectors)
        done += len(vectors)
    return np.asarray(unit(sums / len(templates)), dtype=np.float32)


def checked_labels(given: Iterable[str]) -> list[str]:
    """Names of classes, all different; `InputError` where they are none."""
    labels = list(items_of("labels", given, "name"))
    for number, label in enumerate(labels, 1):
        if not isinstance(label, str) or not label.strip():
            raise InputError(f"labels, {number}: expected the name of a class, found {label!r:.60}")
    if not labels:
        raise InputError("labels: expected the name of at least one class, found none")
    if len(set(labels)) < len(labels):
        twice = next(label for label in labels if labels.count(label) > 1)
        raise InputError(f"labels: found {twice!r:.60} twice; leave one out")
    return labels


def dense_output(encoder: BaseEncoder, role: str) -> str:
    """The first dense output of a role; `InputError` where it has none."""
    given = encoder.outputs(role)
    for name, output in given.items():
        if output.kind == "dense":
            return name
    kinds = ", ".join(f"{name} ({output.kind})" for name, output in given.items())
    raise InputError(f"classes by their names need one vector an item, and the role {role!r} gives {kinds}")
