"""How the dense vectors of a collection are kept, as it is said on a command line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import click

from embedkit.cli.click_ext import grouped, option_field


@dataclass(frozen=True)
class KeptOptions:
    """How dense vectors are kept."""

    dim: int | None = option_field(
        None,
        type=click.IntRange(min=1),
        help="Cut dense vectors to so many numbers, a size that the model was trained for (Matryoshka).",
    )
    any_dim: bool = option_field(
        False, is_flag=True, help="With --dim: take a size that the model was not trained for."
    )
    precision: str | None = option_field(
        None,
        help="How a new collection keeps dense vectors: float32, float16, int8, binary; int8+full and binary+full search by these and rank "
        "by full ones. embedkit stores tells which a store has.",
    )
    index: str | None = option_field(
        None,
        metavar="SETTINGS",
        help="Settings of a new collection's index, as m=32,ef=200: m, ef, search (HNSW), lists, probes (IVF).",
    )

    def given(self) -> dict[str, Any]:
        """The keywords of `embedkit.ingest`."""
        found = {"dim": self.dim, "any_dim": self.any_dim, "precision": self.precision or None, "index": None}
        return found | {"index": self._settings()} if self.index else found

    def _settings(self) -> dict[str, int]:
        pairs = [given.partition("=") for given in (self.index or "").split(",")]
        names = [name.strip() for name, _, _ in pairs]
        for name, (_, equals, number) in zip(names, pairs, strict=True):
            known = name and equals and number.strip().isdecimal() and len(number) < 20
            if not known or names.count(name) > 1:
                raise click.BadParameter(
                    f"expected settings such as m=32,ef=200, found {self.index!r}", param_hint="--index"
                )
        return {name: int(number) for name, (_, _, number) in zip(names, pairs, strict=True)}


kept_options = grouped("kept", KeptOptions)
