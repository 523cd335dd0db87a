"""The quality gate: the least that a variant must reach to be written, for all variants or for each."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import TypeAlias

from embedkit.errors import InputError
from embedkit_export.tensors import VARIANTS

DEFAULT = "default"


@dataclass(frozen=True)
class Gates:
    """The least that a variant must reach to be written."""

    parity: float = 1e-4
    """Largest absolute difference of an fp32 vector from torch's (times the largest number in the vectors, where that
    is over 1)."""
    cosine_mean: float = 0.99
    cosine_min: float = 0.98
    top10_overlap: float = 0.8
    agreement: float = 0.97
    """Of logits: the share of texts that keep their largest class, or of one logit the rank correlation over the texts."""
    logits_mean: float = 0.95
    """Of logits: 1 minus the mean of each text's largest difference, relative to its largest logit where that is over 1."""
    labels: float = 0.02
    """The most that a variant may lose on the sample's labels against fp32, of 1 (nDCG@10, recall@10, Spearman)."""

    def __post_init__(self) -> None:
        for name in ("cosine_mean", "cosine_min", "top10_overlap", "agreement", "logits_mean", "labels"):
            if not -1 <= getattr(self, name) <= 1:
                raise InputError(f"gate {name}: expected a number from -1 to 1, found {getattr(self, name)!r}")
        if not self.parity > 0:
            raise InputError(f"gate parity: expected a positive number, found {self.parity!r}")


GatesByVariant: TypeAlias = Mapping[str, Gates]
"""Gates by the name of a variant; ``default`` holds for the others, and is `Gates()` where it is not given."""


def by_variant(given: Gates | GatesByVariant | None) -> dict[str, Gates]:
    """The gates of every variant. Raises `InputError` for a name that is no variant's."""
    if given is None or isinstance(given, Gates):
        return dict.fromkeys(VARIANTS, given or Gates())
    if not isinstance(given, Mapping):
        raise InputError(f"gates: expected Gates, or a mapping from variants to Gates, found {type(given).__name__}")
    for name, gates in given.items():
        _known(name, "gates")
        if not isinstance(gates, Gates):
            raise InputError(f"gates: {name}: expected Gates, found {gates!r}")
    return {name: given.get(name, given.get(DEFAULT, Gates())) for name in VARIANTS}


def from_options(options: Mapping[str, Sequence[str]]) -> dict[str, Gates]:
    """The gates of every variant from what was given for each field of `Gates`: ``0.99`` holds for all variants,
    ``int8=0.999`` for one, in any order. Raises `InputError` naming the value."""
    stated: dict[str, dict[str, float]] = {}
    for name in (field.name for field in fields(Gates)):
        for text in options.get(name, ()):
            variant, given, number = text.rpartition("=")
            variant = variant.strip() if given else DEFAULT
            _known(variant, f"gate {name}")
            values = stated.setdefault(variant, {})
            if name in values:
                raise InputError(f"gate {name}: given twice for {variant}; leave one out, found {text!r}")
            values[name] = _number(number, text, name)
    default = replace(Gates(), **stated.pop(DEFAULT, {}))
    return by_variant({DEFAULT: default, **{name: replace(default, **own) for name, own in stated.items()}})


def _known(name: object, where: str) -> None:
    if name not in (*VARIANTS, DEFAULT):
        raise InputError(f"{where}: expected one of the variants {', '.join(VARIANTS)}, or {DEFAULT}, found {name!r}")


def _number(number: str, text: str, name: str) -> float:
    try:
        value = float(number)
    except ValueError:
        value = math.nan
    if math.isnan(value):
        raise InputError(f"gate {name}: expected a number, or VARIANT=NUMBER such as int8=0.999, found {text!r}")
    return value
