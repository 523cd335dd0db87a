"""Which of a bundle's outputs a collection keeps: at most one of each kind of vectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from embedkit.checks import items_of, one_of
from embedkit.encoders.base import BaseEncoder
from embedkit.encoders.late.spans import late_output
from embedkit.errors import CollectionMismatchError, CollectionNotFoundError, InputError, OptionError
from embedkit.runtime.outputs import empty_values
from embedkit.stores.contract import METRICS, CollectionInfo, CollectionSpec, Metric
from embedkit.stores.fingerprint import bundle_of, chosen, firsts, is_late, same_space, space
from embedkit.stores.guarded import GuardedCollection, GuardedStore
from embedkit.stores.keeping import Keeping
from embedkit.vectors.arrays import FloatArray
from embedkit.vectors.multivector import MultiVectors
from embedkit.vectors.sparse import SparseVectors
from embedkit.vectors.values import Values

from .kept import Kept

KINDS = ("dense", "sparse", "multivector")


@dataclass(frozen=True, slots=True)
class Columns:
    """The names of the outputs that are kept, by their kind, how many numbers each has, the fingerprint of a collection of them,
    and the size to which dense vectors are cut (None: as the model gives them)."""

    names: dict[str, str]
    sizes: dict[str, int]
    space: str
    dim: int | None = None

    @classmethod
    def of(
        cls,
        encoder: BaseEncoder,
        role: str,
        outputs: Sequence[str] | None,
        info: CollectionInfo | None = None,
        kept: Kept = Kept(),  # noqa: B008 (it cannot be changed)
    ) -> Columns:
        """The ``outputs`` that are named; else the first of each kind that the collection has, where it is there, or that
        the bundle has; dense ones as ``kept`` says. Raises `InputError` where there is none, or several of a kind were named."""
        given = encoder.outputs(role)
        outputs = None if outputs is None else list(items_of("outputs", outputs, "name", ordered=False))
        if kept.late:
            pooled = [late_output(encoder, role)[0]]
            if outputs not in (None, pooled):
                raise InputError(
                    f"outputs: late chunks have {pooled[0]!r} alone, found {', '.join(map(str, outputs or ()))}"
                )
            outputs = pooled
        for name in outputs or ():
            if not isinstance(name, str) or name not in given or given[name].kind not in KINDS:
                able = [name for name, output in given.items() if output.kind in KINDS]
                raise InputError(
                    f"outputs: expected some of {', '.join(able) or 'none'}, which are what a store can keep; found {name!r}"
                )
        own = info if info is not None and same_space(bundle_of(info.fingerprint), encoder.fingerprint) else None
        names: dict[str, str] = {}
        if outputs is None:
            known = firsts(given) if own is None else chosen(own.fingerprint, given)
            names = {kind: known[kind] for kind in KINDS if kind in known and _wanted(kind, info)}
        for name in outputs or ():
            kind = given[name].kind
            if kind in names:
                raise InputError(
                    f"outputs: a collection keeps one of each kind; {names[kind]!r} and {name!r} are {kind}"
                )
            names[kind] = name
        if not names:
            found = ", ".join(f"{name} ({output.kind})" for name, output in given.items())
            raise InputError(f"outputs: this bundle gives no vectors that a store could keep, but {found}")
        if "sparse" in names and encoder.sparse_cosine:
            raise InputError(
                "outputs: this model's sparse vectors are compared by cosine, and a store ranks them by dot product; export it with a "
                'recipe whose sparse output has similarity = "sparse_dot", if it may be searched so'
            )
        sizes = {kind: given[name].size for kind, name in names.items()}
        if "dense" not in names:
            if kept.anything:
                raise OptionError("dim, precision and index are for dense vectors, and none are kept; leave them out")
            return cls(names, sizes, space(encoder.fingerprint, given, names))
        dim = kept.size(given[names["dense"]], own)
        sizes["dense"] = sizes["dense"] if dim is None else dim
        return cls(names, sizes, space(encoder.fingerprint, given, names, kept.keeping(own), late=kept.late), dim)

    @property
    def late(self) -> bool:
        """Whether rows are chunks that are pooled from documents which are read whole."""
        return is_late(self.space)

    def spec(self, name: str, metric: Metric) -> CollectionSpec:
        """A collection of these columns."""
        size = self.sizes.get
        return CollectionSpec(
            name, size("dense", 0), metric, self.space, sparse=size("sparse", 0), multivector=size("multivector", 0)
        )

    @property
    def fewer(self) -> int:
        """How many times as few bytes a dense vector is kept in as float32 takes; where full ones are kept too, once."""
        keeping = Keeping.of(self.space)
        return 1 if keeping.full else {"float16": 2, "int8": 4, "binary": 32}[keeping.base]

    def empty(self, encoder: BaseEncoder, role: str) -> dict[str, Values]:
        """No rows of each output."""
        return {name: empty_values(encoder.outputs(role)[name], self.dim) for name in self.names.values()}

    def columns(self, values: Mapping[str, Values]) -> dict[str, Any]:
        """The fields ``vectors``, ``sparse`` and ``multivectors`` of a `RecordBatch`."""
        found = {kind: values[name] for kind, name in self.names.items()}
        count = len(next(iter(found.values())))
        dense: FloatArray = found.get("dense", np.empty((count, 0), np.float32))  # type: ignore[assignment]
        sparse, several = found.get("sparse"), found.get("multivector")
        assert sparse is None or isinstance(sparse, SparseVectors)
        assert several is None or isinstance(several, MultiVectors)
        return {"vectors": dense, "sparse": sparse, "multivectors": several}


def check_metric(encoder: BaseEncoder, metric: Metric | None) -> None:
    """`OptionError` for what is no metric, `CollectionMismatchError` for one by which this model's vectors cannot be ranked."""
    if metric is None:
        return
    one_of("metric", metric, sorted(METRICS))
    if not encoder.allows(metric):
        raise CollectionMismatchError(
            f"metric: this model's vectors are compared by {encoder.metric!r} and are not of unit length, so an index by {metric!r} "
            "would rank them otherwise; leave metric out"
        )


def kept_in(
    encoder: BaseEncoder,
    role: str,
    outputs: Sequence[str] | None,
    store: GuardedStore,
    name: str,
    metric: Metric | None,
    kept: Kept = Kept(),  # noqa: B008
) -> tuple[Columns, GuardedCollection]:
    """What is kept in the collection of this name, as `Columns.of` says, and the collection, made where it is not there. Raises
    `CollectionMismatchError` where it belongs to another model."""
    known = existing(store, name)
    columns = Columns.of(encoder, role, outputs, known.info if known else None, kept)
    return columns, store.ensure(columns.spec(name, metric or encoder.metric))


def existing(store: GuardedStore, name: str) -> GuardedCollection | None:
    """The collection, where it is there."""
    try:
        return store.open(name)
    except CollectionNotFoundError:
        return None


def _wanted(kind: str, info: CollectionInfo | None) -> bool:
    return info is None or bool({"dense": info.dim, "sparse": info.sparse, "multivector": info.multivector}[kind])
