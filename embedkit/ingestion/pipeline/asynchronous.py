"""`ingest` for programs of coroutines."""

from __future__ import annotations

from embedkit.ingestion.pipeline.ingest import ingest
from embedkit.system.threads import awaited

aingest = awaited(
    ingest,
    __name__,
    "aingest",
    """`embedkit.ingest`, awaited: it takes the same, gives the same and raises the same. It runs on a thread of asyncio's pool, which reads
    the documents too, so that the loop goes on. A call that is cancelled is left at once, and its thread writes all rows to the end:
    to stop it before, let ``documents`` raise.""",
)
