"""A stranger's store plugin: rows in a dict, searched one by one. It knows embedkit by its contract only."""

from dataclasses import replace

from embedkit.errors import CollectionNotFoundError
from embedkit.records import Hit, Page, Record, WriteResult, dump_metadata, filterable, load_metadata
from embedkit.store import Capabilities, CollectionInfo


def open_store(url):
    return ListingStore()


class ListingStore:
    def __init__(self):
        self.caps = Capabilities(max_batch_rows=100, thread_safe=False, multi_process=False)
        self.infos, self.rows = {}, {}

    def ensure(self, spec):
        if spec.name not in self.infos:
            self.infos[spec.name] = CollectionInfo(spec.name, spec.dim, spec.metric, spec.fingerprint)
            self.rows[spec.name] = {}
        return self.open(spec.name)

    def open(self, name):
        if name not in self.infos:
            raise CollectionNotFoundError(f"no collection {name!r}")
        return Listing(self, self.infos[name])

    def names(self):
        return sorted(self.infos)

    def drop(self, name):
        self.infos.pop(name, None)
        self.rows.pop(name, None)

    def close(self):
        pass


class Listing:
    def __init__(self, store, info):
        self.store, self.info = store, info

    @property
    def rows(self):
        if self.info.name not in self.store.rows:
            raise CollectionNotFoundError(f"the collection {self.info.name!r} was dropped")
        return self.store.rows[self.info.name]

    def matching(self, filter):
        return [row for row in self.rows.values() if filter is None or filter.matches(filterable(row.metadata))]

    def upsert(self, batch):
        kept = [load_metadata(dump_metadata(metadata)) for metadata in batch.metadata]
        rows = zip(batch.ids, batch.texts, kept, batch.hashes, batch.vectors.copy(), strict=True)
        self.rows.update({row[0]: Record(*row) for row in rows})
        return WriteResult(len(batch))

    def get(self, ids, *, with_vectors=False):
        found = [self.rows[row_id] for row_id in ids if row_id in self.rows]
        return found if with_vectors else [replace(row, vector=None) for row in found]

    def hashes(self, ids):
        return {row_id: self.rows[row_id].hash for row_id in ids if row_id in self.rows}

    def delete(self, *, ids=None, filter=None):
        found = (
            [row.id for row in self.matching(filter)]
            if ids is None
            else [row_id for row_id in ids if row_id in self.rows]
        )
        return len([self.rows.pop(row_id) for row_id in found])

    def query(self, vectors, k, *, filter=None):
        rows = self.matching(filter)
        hits = [[Hit(row.id, float(row.vector @ vector), row.text, row.metadata) for row in rows] for vector in vectors]
        return [sorted(found, key=lambda hit: -hit.score)[:k] for found in hits]

    def scan(self, *, filter=None, cursor=None, limit=1000):
        rows = sorted(
            (row for row in self.matching(filter) if cursor is None or row.id > cursor), key=lambda row: row.id
        )
        page = [replace(row, vector=None) for row in rows[:limit]]
        return Page(page, page[-1].id if len(rows) > limit else None)

    def count(self, filter=None):
        return len(self.matching(filter))

    def flush(self):
        pass
