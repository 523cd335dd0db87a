"""Classes of texts: vLLM's ``/classify`` and TEI's ``/predict``."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from embedkit.errors import InputError
from embedkit.runtime.options import EncodeOptions, OnTruncate
from embedkit.runtime.outputs import Answer
from embedkit.server.http.call import Call
from embedkit.server.http.endpoint import Reply
from embedkit.server.http.failures import Refusal
from embedkit.server.models import ServedModel
from embedkit.server.service import Service

from .embeddings import truncation_header, usage


class ClassifyBody(msgspec.Struct):
    """The body of ``/classify``."""

    input: Any = None
    model: str | None = None


class PredictBody(msgspec.Struct):
    """The body of ``/predict``: a text, a pair, or a list of lists of one or two texts."""

    inputs: Any = None
    raw_scores: bool = False
    truncate: bool | None = None
    model: str | None = None


async def answer_classify(service: Service, call: Call, body: ClassifyBody, path: Mapping[str, str]) -> Reply:
    """The most probable class of each text, with the probabilities of all."""
    model, _ = service.model(call, body.model, lambda one: one.classifies and not one.ranks)
    given = body.input if isinstance(body.input, list) else [body.input]
    found, answer = await _probabilities(service, call, model, given, "input")
    labels = model.classifier.labels
    data = [
        {
            "index": i,
            "label": labels[int(row.argmax())],
            "probs": [_number(one) for one in row],
            "num_classes": len(row),
        }
        for i, row in enumerate(found)
    ]
    return Reply(
        {
            "id": call.id,
            "object": "list",
            "created": int(time.time()),
            "model": model.name,
            "data": data,
            "usage": usage(answer),
        },
        truncation_header(answer),
    )


async def answer_predict(service: Service, call: Call, body: PredictBody, path: Mapping[str, str]) -> Reply:
    """The classes of each text with their scores, the most probable first."""
    model, _ = service.model(call, body.model, lambda one: one.classifies and not one.ranks)
    items, single = _spread(model, body.inputs)
    policy: OnTruncate | None = "error" if body.truncate is False else None
    found, answer = await _probabilities(service, call, model, items, "inputs", raw=body.raw_scores, policy=policy)
    labels = model.classifier.labels
    rows = [[{"score": _number(row[i]), "label": labels[i]} for i in np.argsort(-row, kind="stable")] for row in found]
    return Reply(rows[0] if single else rows, truncation_header(answer))


def _spread(model: ServedModel, given: Any) -> tuple[list[Any], bool]:
    """The items of ``/predict``, and whether there is one alone: a list of two texts is one pair where the model reads pairs."""
    fields = [name for name, default in model.encoder.fields().items() if default is None]

    def item(one: Any) -> Any:
        if isinstance(one, list) and len(one) == len(fields):
            return dict(zip(fields, one, strict=True)) if len(fields) > 1 else one[0]
        if isinstance(one, list):
            raise Refusal(
                400,
                f"inputs: expected {len(fields)} texts each ({', '.join(fields)}), found {len(one)}",
                param="inputs",
            )
        return one

    if not isinstance(given, list):
        return [item(given)], True
    if len(fields) > 1 and len(given) == len(fields) and all(isinstance(one, str) for one in given):
        return [item(given)], True
    return [item(one) for one in given], False


async def _probabilities(
    service: Service,
    call: Call,
    model: ServedModel,
    items: Sequence[Any],
    name: str,
    *,
    raw: bool = False,
    policy: OnTruncate | None = None,
) -> tuple[Any, Answer]:
    """(n, classes) probabilities, and what they cost."""
    try:
        classifier = model.classifier
    except InputError as error:
        raise Refusal(400, f"the model {model.name!r} gives no classes ({error})", param="model") from error
    options = EncodeOptions(output=classifier.output, on_truncate=policy)
    answer = await service.encode_given(call, model, list(items), options, name=name)
    return answer.values if raw else classifier.probabilities_of(answer.values), answer


def _number(score: Any) -> float:
    return float(str(np.float32(score)))
