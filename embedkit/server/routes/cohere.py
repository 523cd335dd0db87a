"""Cohere's ``/v2/embed`` and ``/v1/embed``: several precisions at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from embedkit.runtime.options import EncodeOptions
from embedkit.server.http.call import Call
from embedkit.server.http.endpoint import Reply
from embedkit.server.http.failures import Refusal
from embedkit.server.service import Service
from embedkit.server.shapes.answers import base64_of, rows_json
from embedkit.vectors.quantization import needs_ranges, quantize

from .embeddings import truncation_header, wanted_size

_PRECISIONS: dict[str, Any] = {"int8": "int8", "uint8": "uint8", "binary": "binary", "ubinary": "ubinary"}
_TYPES = ("float", *_PRECISIONS, "base64")


class CohereBody(msgspec.Struct):
    """The body of ``/v2/embed``."""

    texts: list[Any] | None = None
    images: list[Any] | None = None
    inputs: list[Any] | None = None
    model: str | None = None
    input_type: str | None = None
    embedding_types: list[str] | None = None
    output_dimension: int | None = None
    truncate: str | None = None


async def answer_cohere(service: Service, call: Call, body: CohereBody, path: Mapping[str, str]) -> Reply:
    """A list of vectors for each type that is asked for."""
    return await _answer(service, call, body, body.embedding_types or ["float"])


async def answer_cohere_first(service: Service, call: Call, body: CohereBody, path: Mapping[str, str]) -> Reply:
    """The same in the form of ``/v1/embed``: where no type is asked for, a bare list."""
    return await _answer(service, call, body, body.embedding_types)


async def _answer(service: Service, call: Call, body: CohereBody, types: list[str] | None) -> Reply:
    for one in types or ():
        if one not in _TYPES:
            raise Refusal(
                400,
                f"embedding_types: expected some of {', '.join(_TYPES)}, found {one!r:.40}",
                param="embedding_types",
            )
    truncate = (body.truncate or "END").upper()
    if truncate not in ("NONE", "END"):
        raise Refusal(400, "truncate: texts are cut at their end (END), or refused (NONE)", param="truncate")
    given = [(name, value) for name in ("texts", "images", "inputs") if (value := getattr(body, name)) is not None]
    if len(given) != 1:
        raise Refusal(400, "expected one of texts, images and inputs", param="texts")
    name, inputs = given[0]
    model, by_name = service.model(call, body.model, lambda one: one.embeds)
    role = service.role(call, model, None, body.input_type, by_name)
    size = wanted_size(body.output_dimension)
    policy: Any = "error" if truncate == "NONE" else None
    options = EncodeOptions(role, dim=size, on_truncate=policy)
    about = model.encoder.output_for(options)[1]
    if about.kind != "dense":
        raise Refusal(400, f"the model {model.name!r} gives {about.kind}; ask /v1/embeddings for these", param="model")
    items = [_content(one) for one in inputs] if name == "inputs" else inputs
    answer = await service.encode_given(call, model, items, options, name=name)
    found = {one: _of_type(service, answer.values, one) for one in types or ["float"]}
    meta = {"api_version": {"version": "2"}, "billed_units": {"input_tokens": int(answer.tokens.sum())}}
    whole = {
        "id": call.id,
        "embeddings": found if types is not None else found["float"],
        "texts": inputs if name == "texts" else [],
        "meta": meta,
        "response_type": "embeddings_by_type" if types is not None else "embeddings_floats",
    }
    return Reply(whole, truncation_header(answer))


def _content(given: Any) -> Any:
    """The one part of an input that is a list of parts."""
    parts = given.get("content") if isinstance(given, dict) else None
    if not isinstance(parts, list) or len(parts) != 1:
        raise Refusal(400, "inputs: expected objects with one part of content each", param="inputs")
    return parts[0]


def _of_type(service: Service, vectors: Any, kind: str) -> list[Any]:
    if kind == "float":
        return rows_json(vectors)
    if kind == "base64":
        return [base64_of(row) for row in vectors]
    precision = _PRECISIONS[kind]
    ranges = service.settings.ranges
    if not needs_ranges(precision):
        return rows_json(quantize(vectors, precision))
    if ranges is None:
        raise Refusal(
            400,
            f"embedding_types: {kind} needs the ranges of typical vectors, which this server was started without (--ranges); ask for "
            "float, binary or ubinary",
            param="embedding_types",
        )
    return rows_json(quantize(vectors, precision, ranges=ranges))
