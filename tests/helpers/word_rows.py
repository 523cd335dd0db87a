"""A collection for a lexical index."""

from __future__ import annotations

import numpy as np

from embedkit.records.batch import RecordBatch


def write(rows, documents):
    vectors = np.ones((len(documents), 2), np.float32)
    ids, texts = [document.id for document in documents], [document.text for document in documents]
    rows.upsert(RecordBatch(ids, vectors, texts, [dict(document.metadata) for document in documents], ids))
