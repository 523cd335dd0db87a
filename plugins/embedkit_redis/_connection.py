"""A connection to one Redis server: its commands, several at one moment, and errors that say what to do next. Threads may share it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from embedkit.stores import StoreError, request_seconds

from ._errors import translated
from ._scripts import FREES

_OLDEST, _FLAGS = 6, 7
"""The versions that are needed, and that know flags of scripts."""


class Server:
    """The server that ``options`` of redis-py name. Raises `StoreError` where it is too old, or throws away what was written."""

    def __init__(self, address: str, options: dict[str, Any]) -> None:
        seconds = request_seconds()
        self._client: Any = redis.Redis(
            **options,
            socket_timeout=seconds,
            socket_connect_timeout=seconds,
            retry=Retry(NoBackoff(), 0),  # that is done above the stores
        )
        self._closed = False
        with self.using(f"connecting to {address}") as client:
            version = str(client.info("server")["redis_version"])
            self._frees = FREES if int(version.partition(".")[0]) >= _FLAGS else ""
            if int(version.partition(".")[0]) < _OLDEST:
                raise StoreError(
                    f"{address}: the server is Redis {version}; Redis {_OLDEST} or newer is needed, or Valkey"
                )
            policy = self._setting("maxmemory-policy")
            if policy.startswith("allkeys") and self._setting("maxmemory") != "0":
                raise StoreError(
                    f"{address}: the server throws away any key when its memory is full (maxmemory-policy {policy}), and so rows; set "
                    "maxmemory-policy to noeviction, or use a server that is no cache"
                )

    @contextmanager
    def using(self, what: str) -> Iterator[Any]:
        """The client; what goes wrong in the block is an embedkit error that says ``what`` was done."""
        if self._closed:
            raise StoreError(f"{what}: the store was closed; open it again")
        with translated(what):
            yield self._client

    def at_once(self, what: str, commands: Iterable[Sequence[Any]]) -> list[Any]:
        """The answers to commands between which nothing else happens."""
        with self.using(what) as client, client.pipeline(transaction=True) as together:
            for command in commands:
                together.execute_command(*command)
            found: list[Any] = together.execute()
        return found

    def run(self, what: str, script: str, key: str, arguments: Sequence[Any], *, frees: bool = False) -> int:
        """What a script of `_scripts` gives; ``frees``: it is to run also where the server has no memory left."""
        with self.using(what) as client:
            return int(client.eval((self._frees if frees else "") + script, 1, key, *arguments))

    def flush(self, what: str) -> None:
        """Return when what was written is on the server's disk, as far as it keeps an append-only file and can tell."""
        if self._setting("appendonly") != "yes":
            return
        with self.using(what) as client, suppress(redis.ResponseError):  # WAITAOF came with Redis 7.2
            (kept, *_) = client.execute_command("WAITAOF", 1, 0, int(request_seconds() * 900))
            if not kept:
                raise StoreError(f"{what}: the server's disk did not take it in time; look into its log")

    def close(self) -> None:
        """Close the connections."""
        self._closed = True
        self._client.close()

    def _setting(self, name: str) -> str:
        """A setting of the server, empty where it tells none."""
        with suppress(redis.RedisError):
            return str(self._client.config_get(name).get(name, ""))
        return ""
