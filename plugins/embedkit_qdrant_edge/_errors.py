"""What goes wrong in Qdrant Edge, as errors of embedkit that say what to do next."""

from __future__ import annotations

from contextlib import AbstractContextManager

from embedkit.stores import CollectionNotFoundError, StoreError, translated_errors


def translated(what: str) -> AbstractContextManager[None]:
    """Turn whatever the block raises into an embedkit error; ``what`` says what was done."""
    return translated_errors(what, _error)


def _error(what: str, error: Exception) -> StoreError:
    text = str(error)
    if "not initialized" in text:
        return CollectionNotFoundError(f"{what}: it was dropped or its store closed meanwhile; open or create it anew")
    hint = "look at the folder's disk space and permissions"
    if "WouldBlock" in text:
        hint = "another process or store has it open: close that first, or use a Qdrant server"
    return StoreError(f"{what}: Qdrant Edge failed: {type(error).__name__}: {text}; {hint}")
