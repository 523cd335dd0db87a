"""Searching and reading a store's collections, as functions with described arguments."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from embedkit.checks import integer, one_of
from embedkit.encoders.base import BaseEncoder
from embedkit.errors import InputError
from embedkit.records.documents import Hit, Record
from embedkit.records.filter_text import parse_filter
from embedkit.records.metadata import dump_metadata
from embedkit.retrieval.searching import search
from embedkit.stores.guarded import GuardedStore

_MOST_HITS = 100
_MOST_IDS = 100
_READS_ONLY = {"readOnlyHint": True, "openWorldHint": False}


class Toolbox:
    """``search`` and ``get`` over the ``collections`` of a store that were opened to those who ask, the first where none is named, and
    ``list_collections``. Nothing writes."""

    def __init__(self, encoder: BaseEncoder, store: GuardedStore, collections: list[str]) -> None:
        if not collections:
            raise InputError("collections: expected the name of at least one")
        for name in collections:
            store.open(name).require_fingerprint(encoder.fingerprint)
        self.encoder, self.store, self.collections = encoder, store, collections

    def described(self) -> list[dict[str, Any]]:
        """Each tool with the JSON schema of its arguments."""
        which = {"type": "string", "enum": self.collections, "description": f"By default {self.collections[0]}."}
        return [
            _tool(
                "search",
                "Find the documents of a collection that are nearest in meaning to a question. Gives their ids, scores (higher is "
                "nearer), texts and metadata.",
                {
                    "query": {"type": "string", "description": "What to look for, in words."},
                    "k": {
                        "type": "integer",
                        "minimum": 1,
                        "maximum": _MOST_HITS,
                        "default": 10,
                        "description": "The most hits.",
                    },
                    "filter": {
                        "type": "string",
                        "description": "Only documents whose metadata satisfies it: FIELD OP VALUE with == != < <= > >= in 'not in', or "
                        "FIELD exists; as  year >= 2020",
                    },
                    "collection": which,
                },
                ["query"],
            ),
            _tool(
                "get",
                "Read documents by their ids, whole.",
                {
                    "ids": {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": _MOST_IDS},
                    "collection": which,
                },
                ["ids"],
            ),
            _tool("list_collections", "The collections that can be searched, and how many documents each has.", {}, []),
        ]

    def call(self, name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """What a tool gives; `KeyError` for one that is not there, `InputError` for wrong arguments."""
        known = {tool["name"]: tool["inputSchema"] for tool in self.described()}
        schema = known[name]
        for given in arguments:
            if given not in schema["properties"]:
                raise InputError(
                    f"{name}: expected {', '.join(schema['properties']) or 'no arguments'}, found {given!r}"
                )
        for wanted in schema["required"]:
            if wanted not in arguments:
                raise InputError(f"{name}: the argument {wanted!r} is missing")
        if name == "list_collections":
            return {
                "collections": [{"name": each, "documents": self.store.open(each).count()} for each in self.collections]
            }
        collection = one_of("collection", arguments.get("collection") or self.collections[0], self.collections)
        return self._search(collection, arguments) if name == "search" else self._get(collection, arguments)

    def _search(self, collection: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        query, condition = arguments["query"], arguments.get("filter")
        if not isinstance(query, str):
            raise InputError(f"query: expected a text, found {type(query).__name__}")
        if condition is not None and not isinstance(condition, str):
            raise InputError(f"filter: expected a text, as  year >= 2020, found {type(condition).__name__}")
        k = integer("k", arguments.get("k", 10), least=1, most=_MOST_HITS)
        filter = parse_filter(condition) if condition else None
        hits = search(query, self.encoder, self.store, collection=collection, k=k, filter=filter)
        return {"hits": [_shown(hit) for hit in hits]}

    def _get(self, collection: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        ids = arguments["ids"]
        if not isinstance(ids, list) or not 1 <= len(ids) <= _MOST_IDS:
            raise InputError(f"ids: expected a list of 1 to {_MOST_IDS} ids")
        found = self.store.open(collection).get(ids)
        there = {row.id for row in found}
        return {"documents": [_shown(row) for row in found], "missing": [each for each in ids if each not in there]}


def _shown(row: Hit | Record) -> dict[str, Any]:
    score = {"score": row.score} if isinstance(row, Hit) else {}
    return {"id": row.id, **score, "text": row.text, "metadata": json.loads(dump_metadata(row.metadata))}


def _tool(name: str, about: str, arguments: Mapping[str, Any], required: list[str]) -> dict[str, Any]:
    schema = {"type": "object", "properties": dict(arguments), "required": required, "additionalProperties": False}
    return {"name": name, "description": about, "inputSchema": schema, "annotations": _READS_ONLY}
