"""What a collection's fingerprint says: whose vectors it keeps, and of several outputs of a kind which.

It is the bundle's fingerprint (or, of a model that a strange server computes, what `remote_space` makes), and after it, where
an output is kept that is not the first of its kind, that one's name: as JSON from kinds to names. In between stands how its
pictures were decoded, where not as the model was trained. So vectors of two outputs of one bundle are not mixed, and a question
is asked by the same one. How its vectors are kept comes last (`embedkit.stores.keeping`).
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from embedkit.bundle.manifest import Output
from embedkit.errors import CollectionMismatchError
from embedkit.vectors.arrays import FloatArray

from .keeping import Keeping, without_keeping

_MARK = " outputs "
_LATE = "late"
"""The dense output whose vectors are pooled from whole documents, where kinds stand otherwise."""
_DECODE = " decode "
"""As `embedkit.runtime.options.decoding_space` has it."""
_REMOTE = "remote:"
_NUMBERS = 32
_NEAR = 0.99


def space(
    fingerprint: str,
    outputs: Mapping[str, Output],
    names: Mapping[str, str],
    keeping: Keeping | None = None,
    *,
    late: bool = False,
) -> str:
    """The fingerprint of a collection that keeps of a bundle's ``outputs`` those with ``names``, by kind, the dense one as ``keeping``
    says; ``late`` where its rows are chunks that were pooled from documents which were read whole."""
    others = {kind: name for kind, name in names.items() if name != firsts(outputs)[kind]}
    others |= {_LATE: names["dense"]} if late else {}
    made = f"{fingerprint}{_MARK}{json.dumps(others, sort_keys=True)}" if others else fingerprint
    return (keeping or Keeping()).added_to(made)


def bundle_of(fingerprint: str) -> str:
    """The bundle's fingerprint of a collection's."""
    return without_keeping(fingerprint).partition(_MARK)[0]


def is_late(fingerprint: str) -> bool:
    """Whether a collection's rows are chunks that were pooled from documents which were read whole."""
    return _LATE in _others(fingerprint)


def _others(fingerprint: str) -> dict[str, str]:
    found: dict[str, str] = json.loads(without_keeping(fingerprint).partition(_MARK)[2] or "{}")
    return found


def decode_of(fingerprint: str) -> str:
    """How the pictures of a collection were decoded, where not as the model was trained."""
    return bundle_of(fingerprint).partition(_DECODE)[2]


def chosen(fingerprint: str, outputs: Mapping[str, Output]) -> dict[str, str]:
    """By kind the names of the outputs that belong to a collection of this fingerprint."""
    others = {kind: name for kind, name in _others(fingerprint).items() if kind != _LATE}
    missing = [name for name in others.values() if name not in outputs]
    if missing:
        raise CollectionMismatchError(
            f"the collection keeps the output {missing[0]!r}, and here the bundle gives {', '.join(outputs)}; use the role and the "
            "bundle that it was made with"
        )
    return firsts(outputs) | others


def firsts(outputs: Mapping[str, Output]) -> dict[str, str]:
    """The name of the first output of each kind."""
    found: dict[str, str] = {}
    for name, output in outputs.items():
        found.setdefault(output.kind, name)
    return found


def remote_space(identity: str, vectors: FloatArray) -> str:
    """The fingerprint of a model that is known by an ``identity`` (its address, its name) and by the (n, dim) vectors that it gives
    for some texts: of each some numbers, in a byte each, since a server does not give the same twice to the last bit."""
    kept = vectors[:, np.linspace(0, vectors.shape[1] - 1, min(_NUMBERS, vectors.shape[1])).astype(np.intp)]
    largest = max(float(np.abs(kept).max(initial=0.0)), 1e-30)
    numbers = np.round(np.nan_to_num(kept.astype(np.float64)) / largest * 127).astype(np.int8)
    return f"{_REMOTE}{identity}:{base64.b64encode(numbers.tobytes()).decode()}"


def same_space(a: str, b: str) -> bool:
    """Whether two bundles' fingerprints name one vector space; those of `remote_space` where their vectors are nearly the same."""
    if a == b or not (a.startswith(_REMOTE) and b.startswith(_REMOTE)):
        return a == b
    (mine, x), (others, y) = _parsed(a), _parsed(b)
    if mine != others or x.shape != y.shape:
        return False
    product = float(np.linalg.norm(x) * np.linalg.norm(y))
    return product > 0 and float(x @ y) / product >= _NEAR


def _parsed(fingerprint: str) -> tuple[str, Any]:
    identity, _, numbers = fingerprint.removeprefix(_REMOTE).partition(":")
    try:
        return identity, np.frombuffer(base64.b64decode(numbers, validate=True), np.int8).astype(np.float64)
    except (ValueError, binascii.Error):  # cut by a store, or written by hand: no vectors to compare
        return identity, np.empty(0)


def require_same(name: str, field: str, found: object, expected: object) -> None:
    """Raise `CollectionMismatchError` where a collection was made for another ``field`` (``fingerprint``, ``dim``, ...)."""
    if field == "fingerprint":
        kept, wanted = Keeping.of(str(found)), Keeping.of(str(expected))
        if kept == wanted and same_space(without_keeping(str(found)), without_keeping(str(expected))):
            return
        if kept != wanted and same_space(bundle_of(str(found)), bundle_of(str(expected))):
            raise CollectionMismatchError(
                f"collection {name!r}: it keeps its vectors as {kept}, found {wanted}; leave precision and index out to take what it has, "
                "or use another collection"
            )
    if found != expected:
        hint = "use another collection, or drop this one"
        if field == "fingerprint":
            hint = "it holds another model's vectors: use the bundle that it was made with, or another collection"
            if decode_of(str(found)) != decode_of(str(expected)):
                hint = (
                    "its pictures were decoded in another way: give --decode (decode= in Python) as when it was made, or use another "
                    "collection"
                )
            elif is_late(str(found)) != is_late(str(expected)):
                made, other = ("late", "plain") if is_late(str(found)) else ("plain", "late")
                hint = (
                    f"it holds {made} chunks, and these are {other} ones: cut as when it was made (--late, Chunking(late=True)), or use "
                    "another collection"
                )
            elif bundle_of(str(found)) == bundle_of(str(expected)):
                hint = (
                    "it holds other outputs of this bundle: name those that it was made with, or use another collection"
                )
        raise CollectionMismatchError(
            f"collection {name!r}: {field}: it was made for {found!r}, found {expected!r}; {hint}"
        )
