"""A collection over an index of OpenSearch or Elasticsearch.

A write refreshes the index before it returns, so that every search finds it. Of a few rows all are compared, by a script on the server;
only of more is its graph asked, which may miss some; where it gives fewer hits than there are, all are compared. Scans follow the
documents' ids, which never change.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from embedkit.stores import (
    CollectionInfo,
    Filter,
    FloatArray,
    Footprint,
    Hit,
    Page,
    Record,
    RecordBatch,
    RowError,
    TransientStoreError,
    WriteResult,
    check_cursor,
    load_metadata,
)

from ._dialects import MOST_HITS, Dialect
from ._errors import NO_INDEX, reason, refused
from ._rows import FIELDS, KEPT, KEY, key_of, lines, record, vectors_of
from ._server import Server
from ._where import condition

COMPARED = 10_000
"""Rows up to which all that satisfy a filter are compared."""
_AT_ONCE = 1_000
"""Rows that are read, or deleted, in one request."""
_QUESTIONS = 50
"""Questions that are asked in one request."""


class SearchCollection:
    """A `embedkit.stores.contract.Collection` over an index, to which rows are written through its alias."""

    def __init__(self, server: Server, dialect: Dialect, index: str, alias: str, info: CollectionInfo) -> None:
        self.info = info
        self._server, self._dialect, self._index, self._alias = server, dialect, index, alias

    def upsert(self, batch: RecordBatch) -> WriteResult:
        """Insert or wholly replace rows. Those that the server refuses are named, where it has taken others."""
        what = f"writing {len(batch)} rows to {self.info.name!r}"
        answers = self._bulk(what, lines(batch))
        failed = [(row_id, answer) for row_id, answer in zip(batch.ids, answers, strict=True) if "error" in answer]
        for _, answer in failed:
            if answer["status"] != 400 or len(failed) == len(batch):
                raise refused(what, answer["status"], answer)
        errors = tuple(RowError(row_id, f"the server refused it: {reason(answer)}") for row_id, answer in failed)
        return WriteResult(len(batch) - len(failed), errors)

    def get(self, ids: Sequence[str], *, with_vectors: bool = False) -> list[Record]:
        """The rows that exist among ``ids``."""
        fields = [*FIELDS, KEPT] if with_vectors else FIELDS
        found = self._among("reading from", [key_of(row_id) for row_id in ids], fields)
        return [record(document, self.info.dim) for document in found.values()]

    def hashes(self, ids: Sequence[str]) -> dict[str, str]:
        """The content hash of each row that exists among ``ids``."""
        found = self._among("reading hashes from", [key_of(row_id) for row_id in ids], ["id", "hash"])
        return {document["id"]: document["hash"] for document in found.values()}

    def delete(self, *, ids: Sequence[str] | None = None, filter: Filter | None = None) -> int:
        """Delete by ids or by filter, but no row that another writes meanwhile; the number deleted."""
        what = f"deleting from {self.info.name!r}"
        if ids is None:
            return self._delete_found(what, filter)
        if not ids:
            return 0
        answers = self._bulk(what, (f'{{"delete": {{"_id": "{key_of(row_id)}"}}}}' for row_id in ids))
        for answer in answers:
            if "error" in answer:
                raise refused(what, answer["status"], answer)
        return sum(answer.get("result") == "deleted" for answer in answers)

    def query(self, vectors: FloatArray, k: int, *, filter: Filter | None = None) -> list[list[Hit]]:
        """The ``k`` nearest rows: of up to `COMPARED` that satisfy the filter exactly, else by the graph; where ``k`` is more than the
        server gives, by comparing all here. Scores are computed from the full vectors, in double precision."""
        rows, more = self._counted("searching", filter, COMPARED)
        if more and k > MOST_HITS:
            return self._compared(vectors, k, filter)
        if not rows:
            return [[] for _ in vectors]
        out = self._asked(vectors, min(k, MOST_HITS), filter, by_graph=more)
        short = [i for i, hits in enumerate(out) if more and len(hits) < k]  # the graph has lost the way to some rows
        if short:
            for i, hits in zip(short, self._asked(vectors[short], k, filter, by_graph=False), strict=True):
                out[i] = hits
        return out

    def scan(self, *, filter: Filter | None = None, cursor: str | None = None, limit: int = 1000) -> Page:
        """The next rows in the order of their documents' ids, of which the cursor is the last."""
        after = check_cursor(cursor, "[0-9a-f]{40}") or ""
        records: list[Record] = []
        for part in self._pages("reading from", filter, FIELDS, after, limit):
            records += [record(document, self.info.dim) for document in part]
        return Page(records, key_of(records[-1].id) if len(records) == limit else None)

    def count(self, filter: Filter | None = None) -> int:
        """The number of rows that satisfy ``filter``."""
        return self._counted("counting", filter, None)[0]

    def flush(self) -> None:
        """Have the server write its segments. What was written is durable in its log, and found, before a write returns."""
        self._server.ask(f"flushing {self.info.name!r}", "POST", f"/{self._index}/_flush")

    def measured(self) -> Footprint:
        """Its bytes on one copy of each shard, and its index."""
        found = self._server.ask(f"measuring {self.info.name!r}", "GET", f"/{self._index}/_stats/store")
        size = int(found["_all"]["primaries"]["store"]["size_in_bytes"])
        return Footprint(size, f"HNSW; up to {COMPARED:,} rows are compared")

    def _bulk(self, what: str, written: Iterator[str]) -> list[dict[str, Any]]:
        """What became of each of several writes. Without an alias the server would make a new index for a dropped one."""
        path = f"/{self._alias}/_bulk"
        answer = self._server.ask_lines(what, path, written, refresh="true", require_alias="true")
        return [next(iter(item.values())) for item in answer["items"]]

    def _among(self, doing: str, keys: list[str], fields: list[str]) -> dict[str, dict[str, Any]]:
        """The documents that exist among ``keys``, by them."""
        what, found = f"{doing} {self.info.name!r}", {}
        for start in range(0, len(keys), _AT_ONCE):
            asked = {"ids": keys[start : start + _AT_ONCE]}
            answer = self._server.ask(what, "POST", f"/{self._index}/_mget", asked, _source_includes=",".join(fields))
            for document in answer["docs"]:
                if "error" in document:  # no index, or no shard that answers
                    raise refused(what, 404 if NO_INDEX in reason(document) else 503, document)
                if document.get("found"):
                    found[document["_id"]] = document["_source"]
        return found

    def _counted(self, doing: str, filter: Filter | None, most: int | None) -> tuple[int, bool]:
        """The rows that satisfy the filter, counted up to ``most``, and whether there are more."""
        body = {"size": 0, "track_total_hits": most or True, "query": _query(filter)}
        total = self._server.search(f"{doing} {self.info.name!r}", self._index, body)["hits"]["total"]
        return int(total["value"]), total["relation"] != "eq"

    def _delete_found(self, what: str, filter: Filter | None) -> int:
        """Delete the rows that satisfy the filter, some at a time, so that no request takes long."""
        total = 0
        while True:
            answer = self._server.ask(
                what,
                "POST",
                f"/{self._index}/_delete_by_query",
                {"query": _query(filter)},
                conflicts="proceed",
                refresh="true",
                max_docs=str(_AT_ONCE),
            )
            if answer.get("timed_out"):
                raise TransientStoreError(f"{what}: the server did not find all in time; try again later")
            if answer["failures"]:
                failure = answer["failures"][0]
                raise refused(what, int(failure.get("status", 500)), {"error": failure.get("cause", failure)})
            total += int(answer["deleted"])
            if int(answer["total"]) < _AT_ONCE:
                return total

    def _asked(self, vectors: FloatArray, k: int, filter: Filter | None, *, by_graph: bool) -> list[list[Hit]]:
        """The ``k`` nearest rows as the server finds them, for some of the vectors in one request."""
        out: list[list[Hit]] = []
        together = max(1, min(_QUESTIONS, MOST_HITS // k))
        for start in range(0, len(vectors), together):
            part = vectors[start : start + together]
            bodies = [self._nearest(vector.tolist(), k, filter, by_graph=by_graph) for vector in part]
            answers = self._server.searches(f"searching {self.info.name!r}", self._index, bodies)
            for vector, answer in zip(part, answers, strict=True):
                out.append(self._hits(vector, [hit["_source"] for hit in answer["hits"]["hits"]]))
        return out

    def _nearest(self, vector: list[float], k: int, filter: Filter | None, *, by_graph: bool) -> dict[str, Any]:
        """The body of a search for the ``k`` nearest rows."""
        if by_graph:
            body = self._dialect.by_graph(vector, k, self.info.keeping, None if filter is None else condition(filter))
        else:
            script = self._dialect.script(vector, self.info.metric)
            body = {"size": k, "query": {"script_score": {"query": _query(filter), "script": script}}}
        return body | {"_source": [*FIELDS, KEPT], "track_total_hits": False}

    def _pages(
        self, doing: str, filter: Filter | None, fields: list[str], after: str, limit: int | None
    ) -> Iterator[list[dict[str, Any]]]:
        """Documents in the order of their ids, at most ``limit`` in all."""
        what, left = f"{doing} {self.info.name!r}", limit
        while left is None or left > 0:
            size = _AT_ONCE if left is None else min(left, _AT_ONCE)
            body = {
                "size": size,
                "query": _query(filter),
                "sort": [{KEY: "asc"}],
                "search_after": [after],
                "_source": fields,
                "track_total_hits": False,
            }
            hits = self._server.search(what, self._index, body)["hits"]["hits"]
            yield [hit["_source"] for hit in hits]
            if len(hits) < size:
                return
            after = hits[-1]["sort"][0]
            left = None if left is None else left - size

    def _compared(self, vectors: FloatArray, k: int, filter: Filter | None) -> list[list[Hit]]:
        """By comparing all rows here, some at a time; what else is kept of a row is read of the best ones alone."""
        best: list[list[tuple[float, str]]] = [[] for _ in vectors]
        for part in self._pages("searching", filter, [KEY, KEPT], "", None):
            kept = vectors_of(part, self.info.dim)
            for found, scores in zip(best, self._scores(vectors, kept), strict=True):
                found += [(score, document[KEY]) for score, document in zip(scores.tolist(), part, strict=True)]
                if len(found) >= 2 * k:
                    found[:] = sorted(found, reverse=True)[:k]
        best = [sorted(found, reverse=True)[:k] for found in best]
        rows = self._among("searching", sorted({key for found in best for _, key in found}), FIELDS)
        return [[_hit(rows[key], score) for score, key in found if key in rows] for found in best]

    def _hits(self, vector: FloatArray, documents: list[dict[str, Any]]) -> list[Hit]:
        if not documents:
            return []
        (scores,) = self._scores(vector[None], vectors_of(documents, self.info.dim))
        hits = [_hit(document, score) for document, score in zip(documents, scores.tolist(), strict=True)]
        return sorted(hits, key=lambda hit: -hit.score)

    def _scores(self, asked: FloatArray, kept: FloatArray) -> Any:
        """(questions, rows) scores."""
        one, other = asked.astype(np.float64), kept.astype(np.float64)
        if self.info.metric == "euclidean":
            return -np.array([np.linalg.norm(other - vector, axis=1) for vector in one])
        return one @ other.T


def _query(filter: Filter | None) -> dict[str, Any]:
    """The query of all rows that satisfy a filter, none of which is scored."""
    return {"match_all": {}} if filter is None else {"bool": {"filter": [condition(filter)]}}


def _hit(document: dict[str, Any], score: float) -> Hit:
    return Hit(document["id"], score, document["text"], load_metadata(document["metadata"]))
