"""What goes wrong in PostgreSQL, as errors of embedkit that say what to do next."""

from __future__ import annotations

from contextlib import AbstractContextManager

import psycopg

from embedkit.stores import StoreError, TransientStoreError, translated_errors


def translated(what: str) -> AbstractContextManager[None]:
    """Turn whatever psycopg raises in the block into an embedkit error; ``what`` says what was done."""
    return translated_errors(what, _error, psycopg.Error)


def _error(what: str, error: Exception) -> StoreError:
    assert isinstance(error, psycopg.Error)
    if isinstance(error, psycopg.errors.UndefinedTable):
        return StoreError(f"{what}: the collection was dropped meanwhile; open it again")
    state = error.sqlstate or ""
    message = f"{what}: {' '.join(str(error).split())}"
    if state.startswith("28") or "authentication failed" in message or "no password supplied" in message:
        return StoreError(f"{message}; set PGUSER and PGPASSWORD, or a password file, for this database")
    if state == "3D000" or ('database "' in message and "does not exist" in message):
        return StoreError(f"{message}; create the database first, or correct the store URL")
    if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
        return TransientStoreError(f"{message}; look whether the server runs and has room, and try again")
    return StoreError(f"{message}; look into the server's log")
