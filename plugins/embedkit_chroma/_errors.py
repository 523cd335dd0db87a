"""What goes wrong in Chroma, as errors of embedkit that say what to do next."""

from __future__ import annotations

from contextlib import AbstractContextManager

import httpx
from chromadb.errors import ChromaError, NotFoundError

from embedkit.stores import CollectionNotFoundError, StoreError, TransientStoreError, http_error, translated_errors


def translated(what: str) -> AbstractContextManager[None]:
    """Turn whatever the block raises into an embedkit error; ``what`` says what was done."""
    return translated_errors(what, _error)


def _error(what: str, error: Exception) -> StoreError:
    cause = error.__context__
    if isinstance(cause, httpx.HTTPStatusError):
        return http_error(what, cause.response.status_code, str(error), cause.response.headers)
    if isinstance(error, httpx.TransportError) or isinstance(cause, httpx.TransportError):
        return TransientStoreError(
            f"{what}: the connection failed ({error}); look whether the server runs, and try again"
        )
    if isinstance(error, NotFoundError):
        return CollectionNotFoundError(f"{what}: {error}; it was dropped meanwhile: open or create it anew")
    if isinstance(error, ChromaError) and error.code() in (401, 403, 413, 429):
        return http_error(what, error.code(), str(error), {})
    if "too many SQL variables" in str(error) or "Expression tree is too large" in str(error):
        return StoreError(f"{what}: Chroma refused: {error}; ask for less at once: fewer rows, or a smaller filter")
    if isinstance(error, ChromaError) and error.code() >= 500:
        return TransientStoreError(
            f"{what}: Chroma failed: {error}; try again, and look at its disk space and permissions if it stays so"
        )
    if isinstance(error, AttributeError) and "bindings" in str(error):
        return StoreError(f"{what}: the store is closed; open it again")
    return StoreError(f"{what}: Chroma refused: {type(error).__name__}: {error}")
