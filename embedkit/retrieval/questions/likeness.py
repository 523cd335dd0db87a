"""What is like some rows, or some vectors, and unlike others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from embedkit.checks import integer, positive
from embedkit.errors import InputError
from embedkit.records.documents import Hit
from embedkit.records.filters import Filter
from embedkit.stores.guarded import GuardedCollection, GuardedStore
from embedkit.stores.opening import opened
from embedkit.vectors.arrays import FloatArray, unit_length
from embedkit.vectors.ragged import numbers

Examples: TypeAlias = str | npt.ArrayLike | Sequence["str | npt.ArrayLike"]
"""Ids of rows or dense vectors, or one of these."""


def similar(
    store: GuardedStore | str,
    *,
    collection: str,
    like: Examples,
    unlike: Examples = (),
    k: int = 10,
    offset: int = 0,
    filter: Filter | None = None,
) -> list[Hit]:
    """The rows nearest to examples and far from others, best first; no model is needed, the stored dense vectors are asked.

    The question is mean(like) + (mean(like) - mean(unlike)), Rocchio's (1971) with as much weight on what is unwanted as on what is
    wanted once more, and mean(like) where nothing is unwanted; of a collection that compares by cosine the means are of vectors of unit
    length. The rows that were named are no hits.

    Args:
        store: what `embedkit.open_store` returned, or a store URL.
        collection: its name.
        like: at least one example: the id of a row, a vector (dim,), vectors (n, dim), or a list of ids and vectors.
        unlike: examples of what is not wanted, in the same way; none by default.
        k: the most hits, at least 1; 10 by default.
        offset: leaves out the first so many.
        filter: only rows whose metadata satisfy it; None for all.

    Raises:
        InputError: there is no such row, a vector is of another size, or the examples say nothing (they cancel out).
        CollectionNotFoundError: there is no such collection.
    """
    positive("k", k)
    integer("offset", offset, least=0)
    wanted, unwanted = _given("like", like), _given("unlike", unlike)
    if not wanted:
        raise InputError("like: expected at least one example: the id of a row, or a vector")
    named = {one for one in (*wanted, *unwanted) if isinstance(one, str)}
    with opened(store, make=False) as connection:
        rows = connection.open(collection)
        if not rows.info.dim:
            raise InputError(f"collection {collection!r} keeps no dense vectors, by which rows are alike")
        known = _stored(rows, named)
        asked = _mean("like", wanted, known, rows)
        if unwanted:
            asked = 2 * asked - _mean("unlike", unwanted, known, rows)
        if rows.info.metric != "euclidean" and not np.abs(asked).max() > 0:
            raise InputError("like and unlike cancel each other out; give other examples")
        found = rows.query(asked[None].astype(np.float32), k + offset + len(named), filter=filter)[0]
    return [hit for hit in found if hit.id not in named][offset : offset + k]


def _given(name: str, examples: Examples) -> list[str | FloatArray]:
    """The ids and the (dim,) vectors that are meant."""
    if isinstance(examples, str):
        return [examples]
    if isinstance(examples, np.ndarray) or not isinstance(examples, Sequence):
        return list(np.atleast_2d(numbers(examples, np.float32, name)))
    if examples and all(isinstance(one, int | float) for one in examples):
        return [numbers(examples, np.float32, name)]  # type: ignore[arg-type]
    return [one if isinstance(one, str) else numbers(one, np.float32, name) for one in examples]


def _stored(rows: GuardedCollection, ids: set[str]) -> dict[str, FloatArray]:
    found = {row.id: row.vector for row in rows.get(sorted(ids), with_vectors=True) if row.vector is not None}
    if missing := sorted(ids - found.keys()):
        raise InputError(f"collection {rows.info.name!r} has no row {missing[0]!r}; an example is the id of a row")
    return found


def _mean(
    name: str, examples: list[str | FloatArray], known: dict[str, FloatArray], rows: GuardedCollection
) -> FloatArray:
    vectors = [known[one] if isinstance(one, str) else one for one in examples]
    for vector in vectors:
        if vector.shape != (rows.info.dim,):
            raise InputError(f"{name}: expected vectors of {rows.info.dim} numbers, found the shape {vector.shape}")
    whole = np.stack(vectors)
    if not np.isfinite(whole).all():
        raise InputError(f"{name}: a vector holds NaN or infinity")
    mean: FloatArray = (unit_length(whole) if rows.info.metric == "cosine" else whole).mean(axis=0)
    return mean
