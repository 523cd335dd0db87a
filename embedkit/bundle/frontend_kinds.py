"""The kinds of frontends: those of this package, and those of other installed ones."""

from __future__ import annotations

from importlib.metadata import entry_points

import msgspec

from embedkit.errors import BundleError

from .manifest import IdsFrontend, TextFrontend

GROUP = "embedkit.frontends"
"""The entry point group of further kinds: each names a class `embedkit.runtime.frontends.base.Modality`, whose ``kind``
is the struct that stands in the manifest, tagged by ``kind`` with the entry point's name."""

_OWN: dict[str, type[msgspec.Struct]] = {"text": TextFrontend, "ids": IdsFrontend}


def frontend_struct(kind: object) -> type[msgspec.Struct]:
    """The struct of a kind of frontend; `BundleError` naming those there are."""
    if isinstance(kind, str) and kind in _OWN:
        return _OWN[kind]
    for entry in entry_points(group=GROUP, name=kind) if isinstance(kind, str) else ():
        struct: type[msgspec.Struct] = entry.load().kind
        return struct
    known = ", ".join(sorted({*_OWN, *(entry.name for entry in entry_points(group=GROUP))}))
    raise BundleError(f"kind: expected one of {known}, found {kind!r}; install the package that reads this kind")
