"""Questions to the collections of a store, and documents into them."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec

from embedkit.errors import CollectionNotFoundError, FilterError, InputError
from embedkit.ingestion import ingest
from embedkit.records.documents import Hit
from embedkit.records.filter_text import parse_filter
from embedkit.records.filters import F, Filter
from embedkit.records.metadata import dump_metadata
from embedkit.retrieval.searching import search
from embedkit.server.http.call import Call
from embedkit.server.http.endpoint import Reply
from embedkit.server.http.failures import Refusal
from embedkit.server.models import ServedModel
from embedkit.server.service import Service
from embedkit.server.shapes.items import given_items
from embedkit.stores.fingerprint import bundle_of, same_space
from embedkit.stores.opening import opened

_MOST_HITS = 1000
_OPERATIONS = {
    "==": F.__eq__,
    "!=": F.__ne__,
    "<": F.__lt__,
    "<=": F.__le__,
    ">": F.__gt__,
    ">=": F.__ge__,
    "in": F.is_in,
}


class SearchBody(msgspec.Struct):
    """The body of a search: a ``query`` (or several), and the options of `embedkit.search`."""

    query: Any = None
    k: int = 10
    offset: int = 0
    filter: Any = None
    min_score: float | None = None
    diversity: float = 0.0
    group_by: str | None = None
    group_size: int = 1
    rescore: bool = False
    hybrid: str | None = None
    rerank: bool | str = False
    rerank_top: int | None = None
    explain: bool = False
    model: str | None = None


class DocumentsBody(msgspec.Struct):
    """The body of what is written: ``documents`` with ``id``, ``text`` and ``metadata``, and the names of the bundle's ``outputs``
    that a new collection keeps (all unless some are named)."""

    documents: list[Any]
    outputs: list[str] | None = None
    model: str | None = None


async def answer_search(service: Service, call: Call, body: SearchBody, path: Mapping[str, str]) -> Reply:
    """The documents nearest to each query: ``hits`` for one, ``answers`` for a list of queries."""
    store, name = _store(service), path["name"]
    if not 1 <= body.k <= _MOST_HITS or not 0 <= body.offset <= 100_000:
        raise Refusal(
            400, f"k: expected 1 to {_MOST_HITS}, and offset up to 100000, found {body.k} and {body.offset}", param="k"
        )
    model = await _model(service, call, body.model, name)
    single = not isinstance(body.query, list)
    items = [
        item
        for _, item in given_items(model.encoder, body.query, "query", most=service.settings.max_texts, name="query")
    ]
    options: dict[str, Any] = {
        "k": body.k,
        "offset": body.offset,
        "filter": asked_filter(body.filter),
        "min_score": body.min_score,
        "diversity": body.diversity,
        "group_by": body.group_by,
        "group_size": body.group_size,
        "rescore": body.rescore,
        "hybrid": body.hybrid,
        "rerank": _reranker(service, body.rerank),
        "rerank_top": body.rerank_top,
        "explain": body.explain,
    }
    call.texts, call.role = len(items), "query"

    def work() -> list[list[Hit]]:
        with opened(store) as connection:
            return search(items, model.encoder, connection, collection=name, **options)

    with model.used():
        answers = await service.beside(work)
    found = [[_hit(hit) for hit in hits] for hits in answers]
    whole = {"hits": found[0]} if single else {"answers": [{"hits": hits} for hits in found]}
    return Reply({"collection": name, "model": model.name, **whole})


async def answer_documents(service: Service, call: Call, body: DocumentsBody, path: Mapping[str, str]) -> Reply:
    """What became of each document: written, unchanged, or why it was refused."""
    store, name = _store(service), path["name"]
    model = await _model(service, call, body.model, name)
    if not body.documents or len(body.documents) > service.settings.max_texts:
        raise Refusal(
            400,
            f"documents: expected 1 to {service.settings.max_texts:,}, found {len(body.documents):,}; send fewer at a time",
            param="documents",
        )
    rows = [_row(one, i) for i, one in enumerate(body.documents)]
    call.texts, call.role = len(rows), "document"
    with model.used():
        return Reply(await service.beside(lambda: _written(model, store, name, rows, body.outputs)))


def _written(
    model: ServedModel, store: Any, name: str, rows: list[dict[str, Any]], outputs: list[str] | None
) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="embedkit-serve-") as folder:
        dead = Path(folder) / "dead.jsonl"
        with opened(store) as connection:
            report = ingest(rows, model.encoder, connection, collection=name, dead_letters=dead, outputs=outputs)
        lines = dead.read_bytes().splitlines() if dead.exists() else []
    refused = [msgspec.json.decode(line) for line in lines]
    counts = msgspec.json.decode(report.to_json())
    counts.pop("dead_letters", None)
    return {
        "collection": name,
        "model": model.name,
        "report": counts,
        "refused": [{name: one[name] for name in ("id", "reason") if name in one} for one in refused],
    }


async def _model(service: Service, call: Call, asked: str | None, name: str) -> ServedModel:
    """The model that is asked for; else, of several, that whose vectors the collection holds now, wherever its name leads."""
    store = _store(service)

    def fitting(one: ServedModel) -> bool:
        return one.embeds and same_space(fingerprint, one.encoder.fingerprint)

    if not asked and sum(one.embeds for one in service.catalogue.models.values()) > 1:
        fingerprint = await service.beside(lambda: _made_with(store, name))
        if any(map(fitting, service.catalogue.models.values())):
            return service.model(call, None, fitting)[0]
    return service.model(call, asked, lambda one: one.embeds)[0]


def _made_with(store: Any, name: str) -> str:
    """The fingerprint of the bundle that a collection was made with; empty where there is none."""
    with opened(store) as connection, suppress(CollectionNotFoundError):
        return bundle_of(connection.open(name).info.fingerprint)
    return ""


def _store(service: Service) -> Any:
    if service.settings.store is None:
        raise Refusal(404, "this server has no collections; start it with --store URL", code="no_store")
    return service.settings.store


def _reranker(service: Service, wanted: bool | str) -> Any:
    """The model that orders hits again: the one named, or the first that can."""
    if not wanted:
        return None
    model, _ = service.catalogue.find(wanted if isinstance(wanted, str) else None, lambda one: one.ranks)
    try:
        return model.reranker
    except InputError as error:
        raise Refusal(400, f"rerank: {error}", param="rerank") from error


def _row(given: Any, number: int) -> dict[str, Any]:
    if not isinstance(given, dict) or not isinstance(given.get("id"), str) or not isinstance(given.get("text"), str):
        raise Refusal(400, f"document {number}: expected an object with the texts id and text", param="documents")
    metadata = given.get("metadata", {})
    if not isinstance(metadata, dict) or not {"id", "text"}.isdisjoint(metadata):
        raise Refusal(400, f"document {number}: expected metadata as an object without id and text", param="documents")
    return {"id": given["id"], "text": given["text"], **metadata}


def _hit(hit: Hit) -> dict[str, Any]:
    metadata = msgspec.Raw(dump_metadata(hit.metadata).encode())
    parts = {"parts": dict(hit.parts)} if hit.parts else {}
    told = {name: [asdict(match) for match in matches] for name, matches in hit.matches.items()}
    return {
        "id": hit.id,
        "score": hit.score,
        "text": hit.text,
        "metadata": metadata,
        **parts,
        **({"matches": told} if told else {}),
    }


def asked_filter(given: Any) -> Filter | None:
    """A filter of a clause as on the command line (``"year>=2020"``), of a list of such that must all hold, or of an object:
    ``{"lang": "en", "year": {">=": 2020, "<": 2024}}``."""
    if given is None:
        return None
    parts: list[Filter] = []
    for one in given if isinstance(given, list) else [given]:
        if isinstance(one, str):
            parts.append(parse_filter(one))
        elif isinstance(one, dict):
            parts += [clause for name, value in one.items() for clause in _clauses(name, value)]
        else:
            raise FilterError(
                f'filter: expected clauses such as "year>=2020", or an object of fields, found {one!r:.60}'
            )
    whole: Filter | None = None
    for part in parts:
        whole = part if whole is None else whole & part
    return whole


def _clauses(name: str, value: Any) -> list[Filter]:
    if not isinstance(value, dict):
        return [F(name) == value]
    unknown = [operation for operation in value if operation not in _OPERATIONS]
    if unknown:
        raise FilterError(
            f"filter, field {name!r}: expected operations of {', '.join(_OPERATIONS)}, found {unknown[0]!r}"
        )
    return [_OPERATIONS[operation](F(name), operand) for operation, operand in value.items()]
