"""From a store URL to its plugin, through the entry points of the group ``embedkit.stores``."""

from __future__ import annotations

import os
import sys
from contextlib import AbstractContextManager, nullcontext
from importlib.metadata import EntryPoint

from embedkit.errors import CollectionNotFoundError, EmbedkitError, InputError, StoreError, StoreURLError

from .contract import StoreURL, VectorStore
from .guarded import GuardedStore
from .plugins import store_plugins


def open_store(url: str, *, make: bool = True) -> GuardedStore:
    """Open the store at ``url``, for example ``chroma:index``, ``chroma://localhost:8000`` or ``qdrant://localhost:6333``. One that is a
    file or a folder is made where it is not there, unless ``make`` is false.

    Raises `StoreURLError` for an unknown scheme, `MissingExtraError` where the database's client is not installed,
    `CollectionNotFoundError` where there is no such file or folder and it is not to be made, and `StoreError` where the plugin or
    the database fails.
    """
    address = StoreURL.parse(url)
    plugins = store_plugins()
    entry = plugins.get(address.scheme)
    if entry is None:
        raise StoreURLError(
            f"unknown store scheme {address.scheme!r} in {url!r}: installed are {', '.join(plugins) or 'none'}; "
            "install the plugin's package, or correct the scheme"
        )
    try:
        opening = entry.load()
        if not make:
            _require_there(entry, address)
        store = opening(address)
    except EmbedkitError:
        raise
    except Exception as error:
        raise StoreError(
            f"the store plugin {entry.value!r} failed: {type(error).__name__}: {error}; repair or reinstall its package"
        ) from error
    if not isinstance(store, VectorStore):
        raise StoreError(
            f"the store plugin {entry.value!r} gave a {type(store).__name__}, expected an embedkit.stores.contract.VectorStore"
        )
    return GuardedStore(store, address)


def opened(
    store: GuardedStore | str, name: str = "store", *, make: bool = True
) -> AbstractContextManager[GuardedStore]:
    """The store itself, left open at the end of the block; or the one at a URL, open for the block, as `open_store` does. Raises
    `InputError`, which names the argument, for anything else."""
    if isinstance(store, str):
        return open_store(store, make=make)
    if not isinstance(store, GuardedStore):
        raise InputError(
            f"{name}: expected a store URL, such as chroma:index, or what embedkit.open_store gives, found {type(store).__name__}"
        )
    return nullcontext(store)


def _require_there(entry: EntryPoint, address: StoreURL) -> None:
    """Raise `CollectionNotFoundError` for a file or folder that is not there, by the forms of addresses that the plugin's module names in
    ``CAPABILITIES``."""
    forms = getattr(sys.modules.get(entry.module), "CAPABILITIES", {})
    on_disk = any(form.endswith((":FILE", ":FOLDER")) for form in forms)
    if on_disk and address.path and not address.host and not address.transport and not os.path.exists(address.path):
        raise CollectionNotFoundError(
            f"there is no store at {address.text!r}: {address.path} is not there; correct the address, or fill it by an ingest"
        )
