"""`search` for programs of coroutines."""

from __future__ import annotations

from typing import Any, Protocol, cast

from embedkit.retrieval.searching import search
from embedkit.system.threads import awaited


class AsyncSearch(Protocol):
    """What `asearch` is."""

    async def __call__(self, query: Any, encoder: Any, store: Any, *, collection: str, **options: Any) -> Any:
        """The hits of a query, or of each of several."""


asearch: AsyncSearch = awaited(
    cast(Any, search),
    __name__,
    "asearch",
    """`embedkit.search`, awaited: it takes the same, gives the same and raises the same. It runs on a thread of asyncio's pool, so that
    the loop goes on; calls at the same time share the encoder, and a store that is not thread-safe takes them one after the other. A call
    that is cancelled is left at once, and its thread ends by itself.""",
)
