"""A stand-in for a server of OpenSearch or Elasticsearch: the part of their REST API that is used, as strict as they are; and faults.

What is written is found by searches after a refresh alone, and read by its id at once. An index is made by a write to a name that there is
none of, unless the write asks for an alias.
"""

from __future__ import annotations

import base64
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from .opensearch_queries import MOST_HITS, Document, Queries, Refusal, bad, check_document, check_field, values

Fault = tuple[int, dict[str, str], str]
CUT: Fault = (0, {}, "")
HUNG: Fault = (-1, {}, "")
"""Answered by nothing, for as long as the server runs."""


class Index:
    """One index: its ``documents``, and those that searches ``found`` since the last refresh."""

    def __init__(self, body: dict[str, Any], flavour: str) -> None:
        self.flavour = flavour
        self.mappings, self.aliases = body.get("mappings", {}), body.get("aliases", {})
        self.settings = body.get("settings", {})
        if unknown := set(self.settings) - ({"index.knn"} if flavour == "opensearch" else set()):
            raise bad(f"unknown setting {sorted(unknown)}", "illegal_argument_exception")
        for name, field in self.properties.items():
            check_field(name, field, flavour)
        self.documents: dict[str, tuple[int, Document]] = {}
        self.found: dict[str, tuple[int, Document]] = {}
        self.writes = 0
        self.lost: set[str] = set()
        """Ids of rows to which the graph has no way."""

    @property
    def properties(self) -> dict[str, Any]:
        return dict(self.mappings.get("properties", {}))

    def refresh(self) -> None:
        self.found = dict(self.documents)

    def write(self, kind: str, key: str, document: Document) -> dict[str, Any]:
        """What became of a write of one document."""
        if len(key.encode()) > 512:
            raise bad("id is too long, must be no longer than 512 bytes", "illegal_argument_exception")
        there = key in self.documents
        if kind == "delete":
            self.documents.pop(key, None)
            return {"result": "deleted" if there else "not_found", "status": 200 if there else 404}
        check_document(document, self.properties)
        self.writes += 1
        self.documents[key] = (self.writes, document)
        return {"result": "updated" if there else "created", "status": 200 if there else 201}

    def search(self, body: dict[str, Any]) -> dict[str, Any]:
        known = {"size", "query", "knn", "_source", "sort", "search_after", "track_total_hits"}
        if unknown := set(body) - known:
            raise bad(f"unknown key for a search {sorted(unknown)}")
        size = body.get("size", 10)
        if size > MOST_HITS:
            raise bad(
                f"Result window is too large, from + size must be less than or equal to: [{MOST_HITS}]",
                "illegal_argument_exception",
            )
        matches, score, nearest = Queries(self.properties, self.flavour).scored(body)
        rows = [(key, document) for key, (_, document) in self.found.items() if matches(document)]
        hits: list[dict[str, Any]]
        if score is not None:
            scored = [(score(document), key, document) for key, document in rows if "vector" in document]
            if nearest is not None:
                scored = [row for row in scored if row[2]["id"] not in self.lost]
            scored.sort(key=lambda row: -row[0])
            hits = [{"_id": key, "_score": points, "_source": document} for points, key, document in scored[:nearest]]
        else:
            hits = [{"_id": key, "_score": None, "_source": document} for key, document in rows]
            hits = self._sorted(hits, body)
        total = {"value": len(rows), "relation": "eq"}
        most = body.get("track_total_hits", MOST_HITS)
        if most is not True and len(rows) > most:
            total = {"value": most, "relation": "gte"}
        for hit in hits[:size]:
            hit["_source"] = source_of(hit["_source"], body.get("_source"))
        found = {"hits": hits[:size]} | ({} if most is False else {"total": total})
        return {"timed_out": False, "_shards": {"total": 1, "successful": 1, "failed": 0}, "hits": found, "status": 200}

    def _sorted(self, hits: list[dict[str, Any]], body: dict[str, Any]) -> list[dict[str, Any]]:
        if "sort" not in body:
            return hits
        ((name, order),) = body["sort"][0].items()
        field = self.properties.get(name)
        if order != "asc" or field is None or field["type"] != "keyword" or not field.get("doc_values", True):
            raise bad(f"No mapping found for [{name}] in order to sort on", "query_shard_exception")
        for hit in hits:
            hit["sort"] = [values(hit["_source"], name)[0]]
        hits.sort(key=lambda hit: hit["sort"])
        if "search_after" not in body:
            return hits
        return [hit for hit in hits if hit["sort"] > body["search_after"]]


class StandIn:
    """The server's state. ``faults`` maps a pattern of "METHOD path" to the answers to give instead, each once; ``refusals`` the id of a
    row to what is said of each write of it."""

    def __init__(self, flavour: str) -> None:
        self.flavour = flavour
        self.number = "2.19.1" if flavour == "opensearch" else "8.15.0"
        self.indexes: dict[str, Index] = {}
        self.lock = threading.Lock()
        self.faults: dict[str, list[Fault]] = {}
        self.refusals: dict[str, tuple[int, str]] = {}
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.searches: list[dict[str, Any]] = []
        self.credentials = ""
        self.between: Callable[[], None] = lambda: None
        """Called between the moment at which a deletion by a query finds its documents and that at which they go."""
        self.ended = threading.Event()

    def fault(self, request: str) -> Fault | None:
        for pattern, answers in self.faults.items():
            if answers and re.search(pattern, request):
                return answers.pop(0)
        return None

    def index(self, name: str) -> Index:
        for index, there in self.indexes.items():
            if name == index or name in there.aliases:
                return there
        raise Refusal(404, "index_not_found_exception", f"no such index [{name}]")

    def answer(self, method: str, path: str, params: dict[str, str], content: str) -> Any:
        """The answer to a request; raises `Refusal`."""
        parts = [unquote(part) for part in path.strip("/").split("/")]
        route = (method, *parts[1:])
        if (method, path) == ("GET", "/"):
            told = {"number": self.number} | ({"distribution": "opensearch"} if self.flavour == "opensearch" else {})
            return {"version": told, "tagline": "You Know, for Search"}
        if route == ("POST", "_msearch"):
            return self._several(parts[0], content)
        if method == "PUT" and len(parts) == 1:
            return self._create(parts[0], json.loads(content))
        if route == ("POST", "_bulk"):
            return self._bulk(parts[0], params, content)
        if route == ("GET", "_mapping"):
            named = {name: there for name, there in self.indexes.items() if fnmatchcase(name, parts[0])}
            return {name: {"mappings": there.mappings} for name, there in named.items()}
        body = json.loads(content) if content else {}
        if route == ("POST", "_mget"):
            return self._several_documents(parts[0], params, body)
        there = self.index(parts[0])
        if route == ("GET",):
            return {parts[0]: {"aliases": there.aliases, "mappings": there.mappings, "settings": there.settings}}
        if route == ("DELETE",):
            del self.indexes[parts[0]]  # an alias is refused by the servers too
            return {"acknowledged": True}
        if route == ("POST", "_search"):
            return there.search(body)
        if route == ("POST", "_delete_by_query"):
            return self._delete_found(there, params, body)
        if route == ("POST", "_flush"):
            return {"_shards": {"total": 1, "successful": 1, "failed": 0}}
        if route == ("GET", "_stats", "store"):
            size = sum(len(json.dumps(document)) for _, document in there.documents.values())
            return {"_all": {"primaries": {"store": {"size_in_bytes": size}}}}
        raise Refusal(
            405, "illegal_argument_exception", f"Incorrect HTTP method for uri [{path}] and method [{method}]"
        )

    def _create(self, name: str, body: dict[str, Any]) -> Any:
        if not re.fullmatch(r"[^-_+A-Z\\/*?\"<>| ,#:.][^A-Z\\/*?\"<>| ,#:]{0,254}", name):
            raise bad(f"Invalid index name [{name}]", "invalid_index_name_exception")
        taken = {*self.indexes, *(alias for there in self.indexes.values() for alias in there.aliases)}
        if taken & {name, *body.get("aliases", {})}:
            raise bad(f"index [{name}] already exists", "resource_already_exists_exception")
        self.indexes[name] = Index(body, self.flavour)
        return {"acknowledged": True, "shards_acknowledged": True, "index": name}

    def _bulk(self, name: str, params: dict[str, str], content: str) -> Any:
        if not content.endswith("\n"):
            raise bad("The bulk request must be terminated by a newline [\\n]", "illegal_argument_exception")
        lines, items, touched = iter(content[:-1].split("\n")), [], []
        for line in lines:
            ((kind, told),) = json.loads(line).items()
            document = {} if kind == "delete" else json.loads(next(lines))
            try:
                if document.get("id") in self.refusals:
                    raise Refusal(self.refusals[document["id"]][0], self.refusals[document["id"]][1], "not this one")
                there = self._written_to(name, kind, params)
                touched.append(there)
                items.append({kind: {"_id": told["_id"], **there.write(kind, told["_id"], document)}})
            except Refusal as refusal:
                items.append({kind: {"_id": told["_id"], "status": refusal.status, "error": refusal.said(name)}})
        for there in touched if params.get("refresh") == "true" else ():
            there.refresh()
        return {"errors": any("error" in next(iter(item.values())) for item in items), "items": items}

    def _written_to(self, name: str, kind: str, params: dict[str, str]) -> Index:
        if kind != "delete" and params.get("require_alias") == "true" and name in self.indexes:
            raise Refusal(
                404, "index_not_found_exception", f"no such index [{name}] and [require_alias] request flag is [true]"
            )
        try:
            return self.index(name)
        except Refusal:
            if kind == "delete" or params.get("require_alias") == "true":
                raise
            return self.indexes.setdefault(name, Index({}, self.flavour))

    def _several(self, name: str, content: str) -> Any:
        lines = content.removesuffix("\n").split("\n")
        answers = []
        for head, body in zip(map(json.loads, lines[::2]), map(json.loads, lines[1::2]), strict=True):
            try:
                if set(head) - {"allow_partial_search_results"}:
                    raise bad("key is not supported in the metadata section", "illegal_argument_exception")
                self.searches.append(body)
                answers.append(self.index(name).search(body))
            except Refusal as refusal:
                answers.append({"error": refusal.said(name), "status": refusal.status})
        return {"responses": answers}

    def _several_documents(self, name: str, params: dict[str, str], body: dict[str, Any]) -> Any:
        wanted = params["_source_includes"].split(",")
        docs = []
        for key in body["ids"]:
            try:
                found = self.index(name).documents.get(key)
            except Refusal as refusal:
                docs.append({"_id": key, "error": refusal.said(name)})
                continue
            docs.append({"_id": key, "found": found is not None})
            if found is not None:
                docs[-1]["_source"] = source_of(found[1], wanted)
        return {"docs": docs}

    def _delete_found(self, there: Index, params: dict[str, str], body: dict[str, Any]) -> Any:
        matches = Queries(there.properties, self.flavour).matches(body["query"])
        found = [(key, write) for key, (write, document) in there.found.items() if matches(document)]
        found = found[: int(params.get("max_docs", len(found)))]
        self.lock.release()  # others may ask meanwhile
        try:
            self.between()
        finally:
            self.lock.acquire()
        gone = [key for key, write in found if there.documents.get(key, (None,))[0] == write]
        conflicts = len(found) - len(gone)
        if conflicts and params.get("conflicts") != "proceed":
            raise Refusal(409, "version_conflict_engine_exception", "version conflict")
        for key in gone:
            del there.documents[key]
        if params.get("refresh") == "true":
            there.refresh()
        return {"total": len(found), "deleted": len(gone), "version_conflicts": conflicts, "failures": []}


def source_of(document: Document, wanted: list[str] | None) -> Document:
    return document if wanted is None else {name: document[name] for name in wanted if name in document}


@contextmanager
def stand_in(flavour: str = "opensearch") -> Iterator[tuple[StandIn, str]]:
    """A running stand-in and its store URL."""
    state = StandIn(flavour)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def reply(self) -> None:
            content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            parts = urlsplit(self.path)
            state.requests.append(
                (f"{self.command} {self.path}", {key.lower(): value for key, value in self.headers.items()})
            )
            fault = state.fault(f"{self.command} {parts.path}")
            status, headers, text = fault or (200, {}, "")
            if status <= 0:
                if status < 0:
                    state.ended.wait()
                self.close_connection = True
                return
            if fault is None:
                status, text = self.result(parts.path, dict(parse_qsl(parts.query)), content.decode())
            self.send_response(status)
            sent = text.encode()
            for key, value in {"Content-Type": "application/json", "Content-Length": str(len(sent)), **headers}.items():
                self.send_header(key, value)
            self.end_headers()
            self.wfile.write(sent)

        def result(self, path: str, params: dict[str, str], content: str) -> tuple[int, str]:
            given = self.headers.get("Authorization") or ""
            if state.credentials and given not in (
                state.credentials,
                f"Basic {base64.b64encode(state.credentials.encode()).decode()}",
            ):
                return 401, json.dumps(
                    {"error": {"type": "security_exception", "reason": "missing credentials"}, "status": 401}
                )
            try:
                with state.lock:
                    found = state.answer(self.command, path, params, content)
            except Refusal as refusal:
                return refusal.status, json.dumps({"error": refusal.said(), "status": refusal.status})
            return 200, json.dumps(found, allow_nan=False)

        do_GET = do_PUT = do_POST = do_DELETE = reply

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    serve: Callable[[], None] = lambda: server.serve_forever(poll_interval=0.05)  # noqa: E731
    threading.Thread(target=serve, daemon=True).start()
    try:
        yield state, f"{flavour}://127.0.0.1:{server.server_port}"
    finally:
        state.ended.set()
        server.shutdown()
        server.server_close()
