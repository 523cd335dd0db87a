"""A row as a document, and back.

A document's own id is a hash of the row's, since it may have 512 bytes at most, and is kept once more as what is sorted by. What is not found
by (text, metadata) is in no index. The vector is there twice: as numbers, for the server; and as its bytes, which come back as they were
and in half the room, where newer servers give no numbers back at all.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from embedkit.stores import CollectionInfo, CollectionSpec, FloatArray, Record, RecordBatch, load_metadata

from ._dialects import VECTOR, Dialect
from ._where import ORDER, TERMS, index_of

KEY = "key"
"""The field of a document's id."""
KEPT = "kept"
"""The field of the vector's bytes."""
FIELDS = ["id", "text", "metadata", "hash"]
"""The fields that make a row without its vector."""
META = "embedkit"


def key_of(row_id: str) -> str:
    """The id of a row's document."""
    return hashlib.sha256(row_id.encode()).hexdigest()[:40]


def index_body(spec: CollectionSpec, dialect: Dialect, alias: str) -> dict[str, Any]:
    """What a new index is made of: its settings, the fields by which rows are found, and what the collection was made for."""
    told = {
        "name": spec.name,
        "dim": spec.dim,
        "metric": spec.metric,
        "fingerprint": spec.fingerprint,
    }
    listed = {"type": "keyword", "doc_values": False}
    return {
        "settings": dialect.settings,
        "aliases": {alias: {}},
        "mappings": {
            "_meta": {META: told},
            "dynamic": False,
            "properties": {KEY: {"type": "keyword"}, TERMS: listed, ORDER: listed, VECTOR: dialect.field(spec)},
        },
    }


def info_of(mappings: dict[str, Any]) -> CollectionInfo | None:
    """What the collection was made for; None where embedkit did not make the index."""
    told = (mappings.get("_meta") or {}).get(META)
    if not isinstance(told, dict):
        return None
    return CollectionInfo(told["name"], told["dim"], told["metric"], told["fingerprint"])


def lines(batch: RecordBatch) -> Iterator[str]:
    """Of each row the two lines that write it."""
    numbers = f"[{','.join(['%.9g'] * batch.vectors.shape[1])}]"  # nine digits tell each float32 from all others
    columns = zip(
        batch.ids, batch.texts, batch.metadata, batch.metadata_json(), batch.hashes, batch.vectors, strict=True
    )
    for row_id, text, metadata, dumped, digest, vector in columns:
        key = key_of(row_id)
        yield json.dumps({"index": {"_id": key}})
        row = {
            KEY: key,
            "id": row_id,
            "text": text,
            "metadata": dumped,
            "hash": digest,
            KEPT: base64.b64encode(vector.astype("<f4").tobytes()).decode(),
            **index_of(metadata),
        }
        written = json.dumps(row, ensure_ascii=False)
        yield f'{written[:-1]}, "{VECTOR}": {numbers % tuple(vector.tolist())}}}'


def vectors_of(documents: Sequence[dict[str, Any]], dim: int) -> FloatArray:
    """(n, dim) float32 of the ``_source`` of documents."""
    found = np.frombuffer(b"".join(base64.b64decode(document[KEPT]) for document in documents), "<f4")
    return found.reshape(len(documents), dim).astype(np.float32)


def record(document: dict[str, Any], dim: int) -> Record:
    """The row of a document's ``_source``, with its vector where that was asked for."""
    vector = vectors_of([document], dim)[0] if KEPT in document else None
    return Record(document["id"], document["text"], load_metadata(document["metadata"]), document["hash"], vector)
