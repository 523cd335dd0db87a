"""What the installed store plugins are able to, without opening a store."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from typing import Any

from embedkit.errors import EmbedkitError, MissingExtraError, StoreURLError
from embedkit.records.filters import OPS

from .contract import Capabilities, StoreURL

GROUP = "embedkit.stores"
_SETS = ("filter_ops", "metrics", "precisions", "index")


@dataclass(frozen=True, slots=True)
class Plugin:
    """A plugin: ``problem`` says what is missing to use it (empty where nothing is); ``capabilities`` maps the forms of its
    addresses to what the store there can do, as its module's ``CAPABILITIES`` says (empty where it has none)."""

    scheme: str
    problem: str
    capabilities: Mapping[str, Capabilities]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        stores = {
            address: asdict(caps) | {name: sorted(getattr(caps, name)) for name in _SETS}
            for address, caps in self.capabilities.items()
        }
        return {"ready": not self.problem, "problem": self.problem, "stores": stores}

    def abilities(self) -> dict[str, str]:
        """What each store can do, in words."""
        return {address: _words(caps) for address, caps in self.capabilities.items()}


def describe(scheme: str) -> Plugin:
    """The plugin of a scheme; raises `StoreURLError` where there is none.

    Where its module names what it imports in ``PACKAGES`` and all of that is installed, nothing of it is imported: a
    database's client takes a second or more. Else a store in memory is asked for.
    """
    entry = store_plugins().get(scheme)
    if entry is None:
        raise StoreURLError(f"unknown store scheme {scheme!r}: installed are {', '.join(store_plugins()) or 'none'}")
    problem = ""
    try:
        opened = entry.load()
        packages = getattr(sys.modules.get(entry.module), "PACKAGES", ())
        if not packages or any(find_spec(name) is None for name in packages):
            opened(StoreURL.parse(f"{scheme}://:memory:")).close()
    except MissingExtraError as error:
        problem = str(error)
    except EmbedkitError:
        pass  # this store has no memory to open; its package is there
    except Exception as error:
        problem = f"the plugin {entry.value} is broken: {type(error).__name__}: {error}"
    found = getattr(sys.modules.get(entry.module), "CAPABILITIES", {})
    return Plugin(scheme, problem, found if isinstance(found, Mapping) else {})


def keeping(kind: str) -> list[str]:
    """The addresses of installed plugins whose stores keep vectors of a kind, ``sparse`` or ``multivector``; what a plugin
    that cannot be imported would do is not known."""
    return able(lambda caps: bool(getattr(caps, kind)))


def able(what: Callable[[Capabilities], bool]) -> list[str]:
    """The addresses of installed plugins of whose stores ``what`` is true."""
    found: dict[str, Capabilities] = {}
    for entry in store_plugins().values():
        with suppress(Exception):
            found.update(getattr(import_module(entry.module), "CAPABILITIES", {}))
    return [address for address, caps in found.items() if isinstance(caps, Capabilities) and what(caps)]


def _words(caps: Capabilities) -> str:
    finished = sorted(OPS - caps.filter_ops) + ([] if caps.orders_text else ["the order of text"])
    finished += [] if caps.orders_integers else ["the order of integers beyond 2**53"]
    kinds = ["dense", *(["sparse"] if caps.sparse else []), *(["multivector"] if caps.multivector else [])]
    parts = [
        ", ".join(kinds),
        ", ".join(sorted(caps.metrics)),
        f"up to {caps.max_dim:,} dimensions",
        *([f"in {', '.join(sorted(caps.precisions))}"] if len(caps.precisions) > 1 else []),
        *([f"an index with {', '.join(sorted(caps.index))}"] if caps.index else []),
        "any number of processes" if caps.multi_process else "one process",
        f"{caps.max_batch_rows:,} rows a batch",
        f"embedkit finishes {', '.join(finished)}" if finished else "every filter",
        *(f"filters of up to {most:,} {what}" for what, most in _limits(caps).items() if most is not None),
        *([f"ids of up to {caps.max_id_bytes:,} bytes"] if caps.max_id_bytes is not None else []),
        *([f"rows of up to {caps.max_row_bytes:,} bytes"] if caps.max_row_bytes is not None else []),
    ]
    return "; ".join(parts)


def _limits(caps: Capabilities) -> dict[str, int | None]:
    return {"values": caps.max_filter_values, "comparisons": caps.max_comparisons, "levels": caps.max_filter_depth}


def store_plugins() -> dict[str, EntryPoint]:
    """The installed plugins by URL scheme; raises `StoreURLError` where two distributions claim one scheme."""
    found: dict[str, EntryPoint] = {}
    for entry in entry_points(group=GROUP):
        known = found.setdefault(entry.name, entry)
        if known.value != entry.value:
            raise StoreURLError(
                f"two plugins claim the store scheme {entry.name!r}: {known.value} and {entry.value}; uninstall one"
            )
    return dict(sorted(found.items()))
