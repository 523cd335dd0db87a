"""The store over a Redis server: a hash, ``embedkit:collections``, says what each collection was made for; what else is kept of one has
keys that begin with ``embedkit:`` and its number, so that no name of a user is part of a key."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

from embedkit.stores import CollectionInfo, CollectionNotFoundError, CollectionSpec

from . import CAPABILITIES, SERVER
from ._collection import RedisCollection, block_rows
from ._connection import Server
from ._scripts import DROP

_COLLECTIONS, _NUMBER, _DROPPED = "embedkit:collections", "embedkit:number", "embedkit:dropped"
_AT_ONCE = 1_000


class RedisStore:
    """A `embedkit.stores.contract.VectorStore` over a server's database."""

    caps = CAPABILITIES[SERVER]

    def __init__(self, address: str, options: dict[str, Any]) -> None:
        self._server = Server(address, options)

    def ensure(self, spec: CollectionSpec) -> RedisCollection:
        """Open the collection, or create it."""
        with suppress(CollectionNotFoundError):
            return self.open(spec.name)
        with self._server.using(f"creating the collection {spec.name!r}") as client:
            number = int(client.incr(_NUMBER))
            client.set(f"embedkit:{number}", spec.name.encode())
            told = [number, spec.dim, spec.metric, spec.fingerprint, block_rows(spec)]
            if not client.hsetnx(_COLLECTIONS, spec.name.encode(), json.dumps(told)):
                client.unlink(f"embedkit:{number}")  # another was quicker
        return self.open(spec.name)

    def open(self, name: str) -> RedisCollection:
        """Open the collection."""
        with self._server.using(f"opening the collection {name!r}") as client:
            found = client.hget(_COLLECTIONS, name.encode())
        if found is None:
            raise CollectionNotFoundError(f"no collection {name!r}")
        number, dim, metric, fingerprint, each = json.loads(found)
        return RedisCollection(self._server, f"embedkit:{number}", CollectionInfo(name, dim, metric, fingerprint), each)

    def names(self) -> list[str]:
        """The collections' names."""
        with self._server.using("listing the collections") as client:
            return sorted(name.decode() for name in client.hkeys(_COLLECTIONS))

    def drop(self, name: str) -> None:
        """Delete the collection, if there is one: at once for all who ask, its keys one after another, and those that a process which
        ended meanwhile has left."""
        what = f"dropping the collection {name!r}"
        with self._server.using(what) as client:
            if found := client.hget(_COLLECTIONS, name.encode()):
                number = json.loads(found)[0]
                self._server.run(what, DROP, f"embedkit:{number}", [number, name.encode()], frees=True)
            for left in client.smembers(_DROPPED):
                keys: list[bytes] = []
                for key in client.scan_iter(b"embedkit:%s:*" % left, _AT_ONCE):
                    keys.append(key)
                    if len(keys) == _AT_ONCE:
                        client.unlink(*keys)
                        keys.clear()
                if keys:
                    client.unlink(*keys)
                client.srem(_DROPPED, left)

    def close(self) -> None:
        """Close the connections."""
        self._server.close()
