"""The shapes of text-embeddings-inference: ``/embed``, ``/embed_all``, ``/embed_sparse``, ``/similarity``, ``/info``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np

from embedkit import __version__
from embedkit.runtime.options import EncodeOptions
from embedkit.runtime.outputs import Answer
from embedkit.server.http.call import Call
from embedkit.server.http.endpoint import Reply
from embedkit.server.http.failures import Refusal
from embedkit.server.models import ServedModel
from embedkit.server.service import Service
from embedkit.server.shapes.answers import rows_json
from embedkit.vectors.arrays import unit_length

from .embeddings import truncation_header, wanted_size


class EmbedBody(msgspec.Struct):
    """The body of ``/embed``, ``/embed_all`` and ``/embed_sparse``."""

    inputs: Any = None
    normalize: bool | None = None
    truncate: bool | None = None
    truncation_direction: str = "right"
    prompt_name: str | None = None
    dimensions: int | None = None
    model: str | None = None


class SimilarityInputs(msgspec.Struct):
    """A text, and those that it is compared with."""

    source_sentence: str
    sentences: list[str]


class SimilarityBody(msgspec.Struct):
    """The body of ``/similarity``."""

    inputs: SimilarityInputs
    parameters: Any = None
    model: str | None = None


async def answer_embed(service: Service, call: Call, body: EmbedBody, path: Mapping[str, str]) -> Reply:
    """A vector for each text, as a bare list."""
    model, options = _asked(service, call, body)
    about = model.encoder.output_for(options)[1]
    if about.kind != "dense":
        raise Refusal(422, f"the model {model.name!r} gives {about.kind}; see /info for its routes")
    if body.normalize is False and about.normalized:
        raise Refusal(422, "normalize: this model's vectors have unit length always; leave it out")
    answer = await service.encode_given(call, model, body.inputs, options, name="inputs")
    values = answer.values
    if body.normalize and not about.normalized:
        values = unit_length(values)
    return Reply(rows_json(values), truncation_header(answer))


async def answer_embed_all(service: Service, call: Call, body: EmbedBody, path: Mapping[str, str]) -> Reply:
    """A vector for each token of each text."""
    answer = await _of_kind(service, call, body, "multivector", "tokens")
    return Reply(rows_json(answer.values), truncation_header(answer))


async def answer_embed_sparse(service: Service, call: Call, body: EmbedBody, path: Mapping[str, str]) -> Reply:
    """The weights of each text."""
    answer = await _of_kind(service, call, body, "sparse")
    rows = [
        [{"index": int(i), "value": float(str(value))} for i, value in zip(indices, values, strict=True)]
        for indices, values in answer.values
    ]
    return Reply(rows, truncation_header(answer))


async def answer_similarity(service: Service, call: Call, body: SimilarityBody, path: Mapping[str, str]) -> Reply:
    """How near each sentence is to the first, by the model's own measure."""
    model, by_name = service.model(call, body.model, lambda one: one.embeds)
    if not body.inputs.sentences:
        raise Refusal(400, "sentences: expected at least one, found none", tei_type="empty")
    role = service.role(call, model, by_name=by_name)
    texts = [body.inputs.source_sentence, *body.inputs.sentences]
    answer = await service.encode_given(call, model, texts, EncodeOptions(role), name="inputs")
    found = model.encoder.similarity(answer.values[:1], answer.values[1:])[0]
    return Reply([float(str(score)) for score in np.asarray(found, np.float32)], truncation_header(answer))


async def answer_info(service: Service, call: Call, body: None, path: Mapping[str, str]) -> Reply:
    """What TEI says of itself, of the first model."""
    model, _ = service.model(call, None)
    encoder, settings = model.encoder, service.settings
    kind: dict[str, Any] = {"embedding": {"pooling": encoder.kind}}
    if not model.embeds:
        labels = {str(i): label for i, label in enumerate(model.classifier.labels)}
        about = {"id2label": labels, "label2id": {label: int(i) for i, label in labels.items()}}
        kind = {"reranker": about} if model.ranks else {"classifier": about}
    return Reply(
        {
            "model_id": model.name,
            "model_sha": encoder.fingerprint,
            "model_dtype": encoder.variant,
            "model_type": kind,
            "max_concurrent_requests": settings.max_queue,
            "max_input_length": encoder.max_tokens,
            "max_batch_tokens": encoder.token_budget,
            "max_batch_requests": None,
            "max_client_batch_size": settings.max_texts,
            "auto_truncate": True,
            "tokenization_workers": encoder.concurrency,
            "version": __version__,
            "sha": None,
            "docker_label": None,
        }
    )


async def _of_kind(service: Service, call: Call, body: EmbedBody, *kinds: str) -> Answer:
    def able(one: ServedModel) -> bool:
        return any(output.kind in kinds for output in one.encoder.outputs().values())

    model, options = _asked(service, call, body, able)
    name = model.output_of(*kinds, role=options.role)
    options = EncodeOptions(options.role, output=name, on_truncate=options.on_truncate)
    return await service.encode_given(call, model, body.inputs, options, name="inputs")


def _asked(service: Service, call: Call, body: EmbedBody, able: Any = None) -> tuple[ServedModel, EncodeOptions]:
    if body.truncation_direction.lower() != "right":
        raise Refusal(422, "truncation_direction: texts are cut at their end; leave it out, or cut them yourself")
    model, by_name = service.model(call, body.model, able or (lambda one: one.embeds))
    role = service.role(call, model, body.prompt_name, None, by_name)
    policy = "error" if body.truncate is False else None
    return model, EncodeOptions(role, dim=wanted_size(body.dimensions), on_truncate=policy)  # type: ignore[arg-type]
