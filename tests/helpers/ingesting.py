"""An ingest in a process of its own, which writes down what it encodes and what the store has acknowledged.

``python ingesting.py BUNDLE URL SOURCE.jsonl LOG [WINDOW]``: the log has a line ``+ID`` when the store has taken a row, and a line
``TEXT`` before a text is encoded. Each is written at once, so that the log tells the truth whenever the process ends.
"""

from __future__ import annotations

import os
import sys
from functools import partial

from embedkit.encoders.base import BaseEncoder
from embedkit.encoders.encoder import Encoder
from embedkit.ingestion import Chunking, FileRows, chunked, ingest
from embedkit.ingestion.pipeline import ingest as pipeline
from embedkit.stores.guarded import GuardedCollection
from embedkit.stores.writer import Retry, Writer


def main(bundle: str, url: str, source: str, log: str, window: str = "64") -> None:
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    encode, upsert = BaseEncoder.encode_outputs, GuardedCollection.upsert

    def encoding(self, texts, **options):  # type: ignore[no-untyped-def]
        os.write(file, "".join(f"{text}\n" for text in texts).encode())
        return encode(self, texts, **options)

    def upserting(self, batch):  # type: ignore[no-untyped-def]
        result = upsert(self, batch)
        failed = {row.id for row in result.failed}
        os.write(file, "".join(f"+{row_id}\n" for row_id in batch.ids if row_id not in failed).encode())
        return result

    encoder = Encoder.load(bundle, variant="fp32", threads=1, on_truncate="ignore")
    BaseEncoder.encode_outputs = encoding  # type: ignore[method-assign, assignment]
    GuardedCollection.upsert = upserting  # type: ignore[method-assign]
    if "QUICK_RETRIES" in os.environ:
        pipeline.Writer = partial(Writer, retry=Retry(first_wait=0.02))  # type: ignore[misc, assignment]
    os.write(file, b"!begun\n")
    rows = FileRows([source])
    asked = os.environ.get
    chunking = Chunking(size=int(asked("CHUNK", "12")), late="LATE" in os.environ)
    cut = chunked(rows, encoder, chunking) if "CHUNK" in os.environ else rows
    dedupe = float(asked("DEDUPE", "0")) or None
    report = ingest(cut, encoder, url, collection="docs", window=int(window), dedupe=dedupe)
    print(report.to_json(), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
