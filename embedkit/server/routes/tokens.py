"""TEI's ``/tokenize`` and ``/decode``: what the model's tokenizer makes of texts, before any template and cut."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from embedkit.errors import InputError
from embedkit.server.http.call import Call
from embedkit.server.http.endpoint import Reply
from embedkit.server.http.failures import Refusal
from embedkit.server.service import Service


class TokenizeBody(msgspec.Struct):
    """The body of ``/tokenize``."""

    inputs: Any = None
    add_special_tokens: bool = True
    prompt_name: str | None = None
    model: str | None = None


class DecodeBody(msgspec.Struct):
    """The body of ``/decode``."""

    ids: Any = None
    skip_special_tokens: bool = True
    model: str | None = None


async def answer_tokenize(service: Service, call: Call, body: TokenizeBody, path: Mapping[str, str]) -> Reply:
    """The tokens of each text, with the characters that they stand for."""
    model, _ = service.model(call, body.model)
    texts = body.inputs if isinstance(body.inputs, list) else [body.inputs]
    if not texts:
        raise Refusal(400, "inputs: expected at least one text, found an empty list", param="inputs", tei_type="empty")
    if len(texts) > service.settings.max_texts:
        raise Refusal(
            400, f"inputs: expected at most {service.settings.max_texts:,} texts, found {len(texts):,}", param="inputs"
        )
    reader = model.tokens
    found = await service.beside(lambda: [reader.tokens(text, special=body.add_special_tokens) for text in texts])
    return Reply(
        [
            [
                {"id": one.id, "text": one.text, "special": one.special, "start": one.start, "stop": one.stop}
                for one in tokens
            ]
            for tokens in found
        ]
    )


async def answer_decode(service: Service, call: Call, body: DecodeBody, path: Mapping[str, str]) -> Reply:
    """The text of each list of ids."""
    model, _ = service.model(call, body.model)
    given = body.ids
    if not isinstance(given, list) or not given:
        raise InputError("ids: expected a list of token ids, or a list of such lists")
    rows = given if isinstance(given[0], list) else [given]
    if not all(isinstance(row, list) for row in rows):
        raise InputError("ids: expected a list of token ids, or a list of such lists")
    special = not body.skip_special_tokens
    reader = model.tokens
    return Reply(await service.beside(lambda: [reader.decode(row, special=special) for row in rows]))
