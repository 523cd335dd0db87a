"""What a program can read of the routes: OpenAPI, made of the structs of their bodies."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec

from embedkit import __version__

from .http.failures import Dialect

Entry = tuple[str, Callable[..., Awaitable[Any]], type[msgspec.Struct] | None, Dialect]
"""A route: its path, what answers, the struct of its body (None for GET), and whose errors it has."""

_PART = re.compile(r"\{(\w+)(?::\w+)?\}")


def openapi_of(entries: Sequence[Entry], free: Sequence[str], *, keys: bool) -> dict[str, Any]:
    """The document (OpenAPI 3.1) of the routes; ``free`` are the paths that need no key, where the server has ``keys``."""
    shapes = list(dict.fromkeys(shape for _, _, shape, _ in entries if shape is not None))
    schemas, components = msgspec.json.schema_components(shapes, ref_template="#/components/schemas/{name}")
    by_shape = dict(zip(shapes, schemas, strict=True))
    paths: dict[str, Any] = {}
    for path, answer, shape, dialect in entries:
        operation: dict[str, Any] = {
            "summary": (answer.__doc__ or "").strip().partition("\n")[0],
            "operationId": path.strip("/").replace("/", "_").replace("{", "").replace("}", "") or "page",
            "responses": {
                "200": {"description": "The answer."},
                "default": {"$ref": f"#/components/responses/{dialect}"},
            },
        }
        if names := _PART.findall(path):
            operation["parameters"] = [
                {"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names
            ]
        if shape is not None:
            operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": by_shape[shape]}}}
        if path in free:
            operation["security"] = []
        paths[_PART.sub(r"{\1}", path)] = {"get" if shape is None else "post": operation}
    document: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": "embedkit serve", "version": __version__},
        "paths": paths,
        "components": {
            "schemas": {name: _plain(schema) for name, schema in components.items()},
            "responses": _RESPONSES,
        },
    }
    if keys:
        document["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        document["security"] = [{"key": []}]
    return document


def _plain(schema: Any) -> Any:
    """A schema whose description is without the marks of docstrings."""
    if isinstance(schema, dict) and "description" in schema:
        return {**schema, "description": schema["description"].replace("``", "`")}
    return schema


def _error(schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": "Why it was refused.", "content": {"application/json": {"schema": schema}}}


_TEXT = {"type": "string"}
_MAYBE = {"type": ["string", "null"]}
_ABOUT = {"type": "object", "properties": {"message": _TEXT, "type": _TEXT, "param": _MAYBE, "code": _MAYBE}}
_RESPONSES = {
    "openai": _error({"type": "object", "properties": {"error": _ABOUT}}),
    "tei": _error({"type": "object", "properties": {"error": _TEXT, "error_type": _TEXT}}),
}
