"""In what size and precision a collection keeps the dense vectors of a bundle, and in what index."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from embedkit.bundle.manifest import Output
from embedkit.checks import boolean, integer, one_of
from embedkit.errors import OptionError
from embedkit.stores.contract import CollectionInfo
from embedkit.stores.keeping import PRECISIONS, Keeping


@dataclass(frozen=True, slots=True)
class Kept:
    """What is asked for; None is what the collection has, or for a new one the model's own size, float32, and what the store does by
    itself. ``dim`` is a size that the model was trained for (Matryoshka); another one, or any of a model that does not say so, is
    taken where ``any_dim`` is True. ``late`` says that rows are chunks which are pooled from documents that are read whole
    (`embedkit.Chunking`). Raises `OptionError` for what cannot be."""

    dim: int | None = None
    precision: str | None = None
    index: Mapping[str, int] | None = None
    any_dim: bool = False
    late: bool = False

    def __post_init__(self) -> None:
        if self.dim is not None:
            integer("dim", self.dim, least=1)
        if self.precision is not None:
            one_of("precision", self.precision, list(PRECISIONS))
        Keeping.made(self.precision or "float32", {} if self.index is None else self.index)
        if boolean("any_dim", self.any_dim) and self.dim is None:
            raise OptionError("any_dim: expected a size beside it, found dim=None")

    @property
    def anything(self) -> bool:
        """Whether anything is asked for."""
        return not (self.dim is None and self.precision is None and self.index is None)

    def keeping(self, info: CollectionInfo | None) -> Keeping:
        """How vectors are kept in a collection, or in a new one."""
        known = Keeping() if info is None else info.keeping
        return Keeping.made(
            known.precision if self.precision is None else self.precision,
            dict(known.index) if self.index is None else self.index,
        )

    def size(self, output: Output, info: CollectionInfo | None) -> int | None:
        """The numbers that are kept of each vector of an output; None for those that the model gives."""
        if self.dim is None:
            return info.dim if info is not None and info.dim != output.size else None
        if self.dim > output.dim:
            raise OptionError(f"dim: this model's vectors have {output.dim} numbers, found {self.dim}")
        sizes = {*output.matryoshka, output.size, output.dim}
        if self.dim not in sizes and not self.any_dim:
            trained = {*output.matryoshka} - {output.default}
            told = (
                f"was trained for the sizes {', '.join(map(str, sorted(sizes)))}"
                if trained
                else "does not say that its vectors may be cut"
            )
            raise OptionError(
                f"dim: this model {told}, found {self.dim}; any_dim=True (--any-dim) cuts them all the same, which may lose much"
            )
        return None if self.dim == output.size else self.dim
