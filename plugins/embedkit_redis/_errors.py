"""What goes wrong in Redis, as errors of embedkit that say what to do next."""

from __future__ import annotations

from contextlib import AbstractContextManager

from redis import exceptions

from embedkit.stores import StoreError, TransientStoreError, translated_errors

_PASSING = ("LOADING", "BUSY", "TRYAGAIN", "MASTERDOWN", "CLUSTERDOWN", "max number of clients")


def translated(what: str) -> AbstractContextManager[None]:
    """Turn whatever the client raises in the block into an embedkit error; ``what`` says what was done."""
    return translated_errors(what, _error, (exceptions.RedisError, OSError))


def _error(what: str, error: Exception) -> StoreError:
    said = " ".join(str(error).split())[:500]
    message = f"{what}: {said}"
    if isinstance(error, exceptions.AuthenticationError | exceptions.NoPermissionError) or "NOAUTH" in said:
        return StoreError(
            f"{message}; set the user and password in the environment, of one who may read, write and run scripts"
        )
    if isinstance(error, exceptions.OutOfMemoryError) or "OOM" in said or "used memory >" in said:
        return StoreError(
            f"{message}; the server's memory is full, and it did not do this: raise its maxmemory, or delete rows"
        )
    if "MISCONF" in said or "NOREPLICAS" in said:
        return StoreError(
            f"{message}; the server does not write, since it cannot keep what it writes: look into its log"
        )
    if isinstance(error, exceptions.ReadOnlyError):
        return StoreError(f"{message}; this is a replica: give the address of the server that it follows")
    if "MOVED" in said or "CROSSSLOT" in said:
        return StoreError(
            f"{message}; this is a node of a cluster, over which no collection is spread: use a server of its own"
        )
    passing = isinstance(error, exceptions.ConnectionError | exceptions.TimeoutError | OSError)
    if passing or any(sign in said for sign in _PASSING):
        return TransientStoreError(f"{message}; look whether the server runs and is not busy, and try again")
    return StoreError(f"{message}; look into the server's log, and whether it is Redis 6 or newer, or Valkey")
