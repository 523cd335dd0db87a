"""What a collection's fingerprint says: whose vectors it keeps, and of several outputs of a kind which.

It is the bundle's fingerprint, and after it, where an output is kept that is not the first of its kind, that one's name:
as JSON from kinds to names. In between stands how its pictures were decoded, where not as the model was trained. So vectors of
two outputs of one bundle are not mixed, and a question is asked by the same one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from embedkit.bundle.manifest import Output
from embedkit.errors import CollectionMismatchError

_MARK = " outputs "
_DECODE = " decode "
"""As `embedkit.runtime.options.decoding_space` has it."""


def space(fingerprint: str, outputs: Mapping[str, Output], names: Mapping[str, str]) -> str:
    """The fingerprint of a collection that keeps of a bundle's ``outputs`` those with ``names``, by kind."""
    others = {kind: name for kind, name in names.items() if name != firsts(outputs)[kind]}
    return f"{fingerprint}{_MARK}{json.dumps(others, sort_keys=True)}" if others else fingerprint


def bundle_of(fingerprint: str) -> str:
    """The bundle's fingerprint of a collection's."""
    return fingerprint.partition(_MARK)[0]


def decode_of(fingerprint: str) -> str:
    """How the pictures of a collection were decoded, where not as the model was trained."""
    return bundle_of(fingerprint).partition(_DECODE)[2]


def chosen(fingerprint: str, outputs: Mapping[str, Output]) -> dict[str, str]:
    """By kind the names of the outputs that belong to a collection of this fingerprint."""
    others: dict[str, str] = json.loads(fingerprint.partition(_MARK)[2] or "{}")
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


def require_same(name: str, field: str, found: object, expected: object) -> None:
    """Raise `CollectionMismatchError` where a collection was made for another ``field`` (``fingerprint``, ``dim``, ...)."""
    if found != expected:
        hint = "use another collection, or drop this one"
        if field == "fingerprint":
            hint = "it holds another model's vectors: use the bundle that it was made with, or another collection"
            if decode_of(str(found)) != decode_of(str(expected)):
                hint = (
                    "its pictures were decoded in another way: give --decode (decode= in Python) as when it was made, or use another "
                    "collection"
                )
            elif bundle_of(str(found)) == bundle_of(str(expected)):
                hint = (
                    "it holds other outputs of this bundle: name those that it was made with, or use another collection"
                )
        raise CollectionMismatchError(
            f"collection {name!r}: {field}: it was made for {found!r}, found {expected!r}; {hint}"
        )
