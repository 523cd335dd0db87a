"""Word indexes kept in the user's cache folder."""

from __future__ import annotations

import json
import os
from collections.abc import Collection
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path

from embedkit.errors import InputError, StaleIndexError
from embedkit.stores.guarded import GuardedCollection, GuardedStore
from embedkit.system import cache

from .lexical import LexicalIndex, records_with_progress


def kept(
    rows: GuardedCollection,
    folder: Path,
    *,
    language: str | None = None,
    rebuild: bool = False,
    progress: bool | None = False,
) -> LexicalIndex:
    """The index of a collection that is kept in a folder; built there anew where it is missing, damaged, of another
    language than was asked for, or `LexicalIndex.require_count` fails. None keeps the language that it has."""
    stopwords: Collection[str] = ()
    with suppress(InputError):
        index = LexicalIndex.load(folder)
        rebuild = rebuild or language not in (None, index.language)
        language, stopwords = language or index.language, index.stopwords
        with suppress(StaleIndexError):
            index.require_count(rows)
            if not rebuild:
                return index
    index = LexicalIndex.of(records_with_progress(rows, progress), language=language, stopwords=stopwords)
    index.save(folder)
    return index


def default_folder(store: GuardedStore, collection: str) -> Path:
    """Where the index of a collection is kept unless a folder is named: in the user's cache folder, by the store's address
    and the collection's name."""
    address = store.address
    place: list[object] = ["", collection]
    if address is not None:
        local = bool(address.path) and not address.host and address.scheme != "memory"
        path = os.path.abspath(address.path) if local else address.path
        place = [address.scheme, address.transport, address.host, address.port, path, collection]
    return cache.folder() / "lexical" / blake2b(json.dumps(place).encode(), digest_size=16).hexdigest()
