"""LanceDB's memory, bounded: by its own defaults, and those of glibc, an ingest holds more the more rows the collection has.

To merge fragments it reads ahead up to 2 GB, in batches of 8,192 rows for each core, so that all vectors of the collection lie in memory
at a time. And what its threads have freed, glibc keeps for each of them, as long as an allocation is below a threshold that grows with
the largest one until then: without that growth, what is large goes back to the system at once.
"""

from __future__ import annotations

import ctypes
import os

_SETTINGS = {"LANCE_DEFAULT_BATCH_SIZE": "1024", "LANCE_DEFAULT_IO_BUFFER_SIZE": str(1 << 24)}
_M_MMAP_THRESHOLD = -3
_LARGE = 1 << 20


def bound_memory() -> None:
    """Has to be called before lancedb is imported, which reads its settings once; a setting that the user made stays."""
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    if any(name.startswith("MALLOC_") for name in os.environ):
        return
    try:
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _LARGE)
    except (AttributeError, OSError, TypeError):  # another C library, whose allocator is another one too
        return
