"""What goes wrong in LanceDB, as errors of embedkit that say what to do next."""

from __future__ import annotations

import re
from contextlib import AbstractContextManager

from embedkit.stores import CollectionNotFoundError, FilterError, StoreError, TransientStoreError, translated_errors


def translated(what: str) -> AbstractContextManager[None]:
    """Turn whatever the block raises into an embedkit error; ``what`` says what was done."""
    return translated_errors(what, _error)


def _error(what: str, error: Exception) -> StoreError:
    text = re.sub(r",? \S+\.rs:\d+:\d+", "", " ".join(str(error).split()))
    message = f"{what}: LanceDB failed: {type(error).__name__}: {text[:500]}"
    if "Error parsing statement" in text:
        return FilterError(f"{what}: the filter is nested too deeply for LanceDB; write it with fewer levels")
    if "conflict" in text.lower() or "concurrent" in text.lower():
        return TransientStoreError(f"{message}; another process wrote at the same time: try again")
    if "not found" in text.lower():
        return CollectionNotFoundError(f"{message}; it was dropped meanwhile: open or create it anew")
    return StoreError(f"{message}; look at the folder's disk space and permissions")
