"""A bundle's table of vectors, such as the items of a recommender, into a collection, without encoding anything."""

from __future__ import annotations

from embedkit.checks import one_of
from embedkit.encoders.base import BaseEncoder
from embedkit.encoders.info import check_encoder
from embedkit.errors import StoreError
from embedkit.ingestion.pipeline.columns import Columns
from embedkit.ingestion.pipeline.lock import one_writer
from embedkit.records.batch import RecordBatch
from embedkit.records.metadata import content_hash
from embedkit.stores.contract import METRICS, Metric
from embedkit.stores.guarded import GuardedStore
from embedkit.stores.opening import opened
from embedkit.stores.writer import Writer

_ROWS = 1_000


def ingest_table(
    encoder: BaseEncoder,
    store: GuardedStore | str,
    *,
    collection: str,
    table: str = "items",
    metric: Metric | None = None,
    progress: bool | None = False,
) -> int:
    """Write the rows of a table of the encoder's bundle into a collection, which the encoder's vectors can then search; what
    is there already and the same is not written again. The number of rows of the table.

    Args:
        encoder: Of the bundle that has the table; nothing is encoded.
        store: An open store, or its address.
        collection: Its name; it is made where it is not there.
        table: The name of the table.
        metric: How the collection compares; by default as the model does.
        progress: Show a bar on stderr; None where that is a terminal.

    Raises:
        BundleError: the bundle has no such table.
        CollectionMismatchError: the collection was made with another model.
        StoreError: a row was refused by the store.
    """
    from tqdm import tqdm

    check_encoder(encoder)
    if metric is not None:
        one_of("metric", metric, sorted(METRICS))
    ids, vectors = encoder.bundle.table(table)
    output = encoder.bundle.manifest.tables[table].output.partition(".")[2]
    columns = Columns.of(encoder, "default", [output])
    with opened(store) as connection, one_writer(connection, collection):
        rows = connection.ensure(columns.spec(collection, metric or encoder.metric))
        writer = Writer(rows)
        with tqdm(total=len(ids), unit="row", disable=None if progress is None else not progress) as bar:
            for start in range(0, len(ids), _ROWS):
                some = ids[start : start + _ROWS]
                part = vectors[start : start + _ROWS]
                hashes = [
                    content_hash(row, {"sha": vector.tobytes().hex()}) for row, vector in zip(some, part, strict=True)
                ]
                known = rows.hashes(some)
                fresh = [i for i, row in enumerate(some) if known.get(row) != hashes[i]]
                if fresh:
                    texts = [some[i] for i in fresh]
                    batch = RecordBatch(texts, part[fresh], texts, [{} for _ in fresh], [hashes[i] for i in fresh])
                    for refused in writer.write(batch).failed:
                        raise StoreError(f"table {table!r}: the row {refused.id!r} was refused: {refused.reason}")
                bar.update(len(some))
        rows.flush()
    return len(ids)
