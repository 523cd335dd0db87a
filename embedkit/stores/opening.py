"""From a store URL to its plugin, through the entry points of the group ``embedkit.stores``."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

from embedkit.errors import EmbedkitError, InputError, StoreError, StoreURLError

from .contract import StoreURL, VectorStore
from .guarded import GuardedStore
from .plugins import store_plugins


def open_store(url: str) -> GuardedStore:
    """Open the store at ``url``, for example ``chroma:index``, ``chroma://localhost:8000`` or ``qdrant://localhost:6333``.

    Raises `StoreURLError` for an unknown scheme, `MissingExtraError` where the database's client is not installed,
    and `StoreError` where the plugin or the database fails.
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
        store = entry.load()(address)
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


def opened(store: GuardedStore | str, name: str = "store") -> AbstractContextManager[GuardedStore]:
    """The store itself, left open at the end of the block; or the one at a URL, open for the block. Raises `InputError`,
    which names the argument, for anything else."""
    if isinstance(store, str):
        return open_store(store)
    if not isinstance(store, GuardedStore):
        raise InputError(
            f"{name}: expected a store URL, such as chroma:index, or what embedkit.open_store gives, found {type(store).__name__}"
        )
    return nullcontext(store)
