"""OpenAI's ``/v1/embeddings``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np

from embedkit.runtime.options import EncodeOptions
from embedkit.runtime.outputs import Answer
from embedkit.server.http.call import Call
from embedkit.server.http.endpoint import Reply
from embedkit.server.http.failures import Refusal
from embedkit.server.service import Service
from embedkit.server.shapes.answers import shown_rows


class EmbeddingsBody(msgspec.Struct):
    """The body of ``/v1/embeddings``; what is unknown is ignored, and null is absent."""

    input: Any = None
    model: str | None = None
    encoding_format: str | None = None
    dimensions: int | None = None
    output_dimension: int | None = None
    role: str | None = None
    input_type: str | None = None
    prompt_name: str | None = None
    output: str | None = None


async def answer_embeddings(service: Service, call: Call, body: EmbeddingsBody, path: Mapping[str, str]) -> Reply:
    """A vector for each input."""
    if body.encoding_format not in (None, "float", "base64"):
        raise Refusal(
            400,
            f"encoding_format: expected float or base64, found {body.encoding_format!r:.40}",
            param="encoding_format",
        )
    model, by_name = service.model(call, body.model, lambda one: one.embeds)
    role = service.role(call, model, body.role or body.prompt_name, body.input_type, by_name)
    about = model.encoder.output_for(EncodeOptions(role, output=body.output))[1]
    packed = body.encoding_format == "base64"
    if packed and about.kind not in ("dense", "logits"):
        raise Refusal(
            400,
            f"encoding_format: base64 is for dense vectors, and this output is {about.kind}; ask for float",
            param="encoding_format",
        )
    options = EncodeOptions(role, dim=wanted_size(body.dimensions, body.output_dimension), output=body.output)
    answer = await service.encode_given(call, model, body.input, options)
    rows = await shown_rows(answer.values, packed=packed)
    data = [{"object": "embedding", "index": i, "embedding": row} for i, row in enumerate(rows)]
    cut = {"truncated": np.flatnonzero(answer.truncated).tolist()} if answer.truncated.any() else {}
    whole = {"object": "list", "data": data, "model": model.name, "usage": usage(answer), **cut}
    return Reply(whole, truncation_header(answer))


def wanted_size(*given: int | None) -> int | None:
    """The size of vectors that is asked for: 0 is none. `Refusal` for a negative one."""
    for size in given:
        if size is not None and size < 0:
            raise Refusal(400, f"dimensions: expected a positive integer, found {size}", param="dimensions")
    return next((size for size in given if size), None)


def usage(answer: Answer) -> dict[str, int]:
    """Tokens that were read, and how many texts were cut where some were."""
    tokens, cut = int(answer.tokens.sum()), int(answer.truncated.sum())
    return {"prompt_tokens": tokens, "total_tokens": tokens} | ({"truncated_texts": cut} if cut else {})


def truncation_header(answer: Answer) -> dict[str, str]:
    """The header that tells of texts that were cut."""
    cut = int(answer.truncated.sum())
    return {"x-embedkit-truncated": str(cut)} if cut else {}
