"""Documents by their relevance to a question: the rerank routes of Cohere, Jina, vLLM and TEI, and vLLM's ``/score``."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from embedkit.checks import check_text
from embedkit.errors import InputError
from embedkit.runtime.options import EncodeOptions, OnTruncate
from embedkit.runtime.outputs import Answer
from embedkit.server.http.call import Call
from embedkit.server.http.endpoint import Reply
from embedkit.server.http.failures import Refusal
from embedkit.server.models import ServedModel
from embedkit.server.service import Service

from .embeddings import truncation_header, usage


class RerankBody(msgspec.Struct):
    """The body of ``/rerank``: with ``documents`` in the form of Cohere, Jina and vLLM, with ``texts`` in that of TEI."""

    query: Any = None
    documents: list[Any] | None = None
    texts: list[Any] | None = None
    model: str | None = None
    top_n: int | None = None
    return_documents: bool = False
    max_tokens_per_doc: int | None = None
    raw_scores: bool = False
    return_text: bool = False
    truncate: bool | None = None


class ScoreBody(msgspec.Struct):
    """The body of ``/score``."""

    queries: Any = None
    text_1: Any = None
    data_1: Any = None
    documents: Any = None
    text_2: Any = None
    data_2: Any = None
    model: str | None = None


async def answer_rerank(service: Service, call: Call, body: RerankBody, path: Mapping[str, str]) -> Reply:
    """The documents, the most relevant first; equally relevant ones in the given order."""
    if body.texts is not None:
        return await _answer_tei(service, call, body)
    if body.documents is None:
        raise Refusal(400, "documents: expected a list of texts, found none", param="documents")
    if body.top_n is not None and body.top_n < 1:
        raise Refusal(400, f"top_n: expected a positive integer, found {body.top_n}", param="top_n")
    model, _ = service.model(call, body.model, lambda one: one.ranks)
    texts = [document_text(one, i) for i, one in enumerate(body.documents)]
    scores, answer = await _scores(service, call, model, body.query, texts)
    results: list[dict[str, Any]] = [
        {"index": int(i), "relevance_score": _number(scores[i])}
        for i in np.argsort(-scores, kind="stable")[: body.top_n]
    ]
    if body.return_documents:
        for one in results:
            one["document"] = {"text": texts[one["index"]]}
    used = usage(answer)
    meta = {"tokens": {"input_tokens": used["prompt_tokens"]}, "api_version": {"version": "2"}}
    return Reply(
        {"id": call.id, "model": model.name, "results": results, "usage": used, "meta": meta}, truncation_header(answer)
    )


async def _answer_tei(service: Service, call: Call, body: RerankBody) -> Reply:
    """In the form of TEI."""
    assert body.texts is not None
    model, _ = service.model(call, body.model, lambda one: one.ranks)
    texts = [document_text(one, i) for i, one in enumerate(body.texts)]
    policy: OnTruncate | None = "error" if body.truncate is False else None
    scores, answer = await _scores(service, call, model, body.query, texts, raw=body.raw_scores, policy=policy)
    results: list[dict[str, Any]] = [
        {"index": int(i), "score": _number(scores[i])} for i in np.argsort(-scores, kind="stable")
    ]
    if body.return_text:
        for one in results:
            one["text"] = texts[one["index"]]
    return Reply(results, truncation_header(answer))


async def answer_score(service: Service, call: Call, body: ScoreBody, path: Mapping[str, str]) -> Reply:
    """The score of each pair: one query with each document, or as many of both. By a model that reads pairs, or else by the
    similarity of vectors."""
    left = _several(next((one for one in (body.queries, body.text_1, body.data_1) if one is not None), None), "queries")
    right = _several(
        next((one for one in (body.documents, body.text_2, body.data_2) if one is not None), None), "documents"
    )
    if len(left) == 1:
        left = left * len(right)
    if len(left) != len(right):
        raise Refusal(
            400, f"expected one query, or as many as documents, found {len(left)} and {len(right)}", param="queries"
        )
    model, _ = service.model(call, body.model, lambda one: one.ranks)
    if model.ranks:
        scores, answer = await _pair_scores(service, call, model, list(zip(left, right, strict=True)))
        used = usage(answer)
    else:
        roles = [service.role(call, model, None, kind, None) for kind in ("search_query", "search_document")]
        a = await service.encode_given(call, model, left, EncodeOptions(roles[0]), name="queries")
        b = await service.encode_given(call, model, right, EncodeOptions(roles[1]), name="documents")
        scores = np.array(
            [model.encoder.similarity(a.values[i : i + 1], b.values[i : i + 1])[0, 0] for i in range(len(left))]
        )
        total = int(a.tokens.sum() + b.tokens.sum())
        used = {"prompt_tokens": total, "total_tokens": total}
    data = [{"index": i, "object": "score", "score": _number(score)} for i, score in enumerate(scores)]
    made = int(time.time())
    return Reply({"id": call.id, "object": "list", "created": made, "model": model.name, "data": data, "usage": used})


async def _scores(
    service: Service,
    call: Call,
    model: ServedModel,
    query: Any,
    texts: Sequence[str],
    *,
    raw: bool = False,
    policy: OnTruncate | None = None,
) -> tuple[Any, Answer]:
    if not texts:
        raise Refusal(
            400, "documents: expected at least one text, found an empty list", param="documents", tei_type="empty"
        )
    if isinstance(query, dict) and set(query) == {"text"}:
        query = query["text"]
    if not isinstance(query, str):
        raise Refusal(400, f"query: expected a text, found {type(query).__name__}", param="query")
    return await _pair_scores(service, call, model, [(query, text) for text in texts], raw=raw, policy=policy)


async def _pair_scores(
    service: Service,
    call: Call,
    model: ServedModel,
    pairs: Sequence[tuple[Any, Any]],
    *,
    raw: bool = False,
    policy: OnTruncate | None = None,
) -> tuple[Any, Answer]:
    """(n,) scores of pairs, and what they cost."""
    if len(pairs) > service.settings.max_texts:
        raise Refusal(
            400, f"expected at most {service.settings.max_texts:,} texts, found {len(pairs):,}", param="documents"
        )
    try:
        reranker = model.reranker
    except InputError as error:
        raise Refusal(400, f"the model {model.name!r} scores no pairs ({error})", param="model") from error
    for i, (query, document) in enumerate(pairs):
        check_text(query, "query")
        check_text(document, f"document {i}")
    items = [("default", reranker.item(query, document)) for query, document in pairs]
    answer = await service.encode(call, model, items, EncodeOptions(output=reranker.output, on_truncate=policy))
    return answer.values[:, 0] if raw else reranker.scores_of(answer.values), answer


def document_text(given: Any, number: int) -> str:
    """The text of a document: a string, or an object with one."""
    text = given.get("text") if isinstance(given, dict) else given
    if not isinstance(text, str):
        raise Refusal(
            400,
            f"document {number}: expected a text, or an object with one, found {type(given).__name__}",
            param="documents",
        )
    return text


def _several(given: Any, name: str) -> list[str]:
    listed = given if isinstance(given, list) else [given]
    found = [one.get("text") if isinstance(one, dict) else one for one in listed]
    if not found or not all(isinstance(one, str) for one in found):
        raise Refusal(400, f"{name}: expected a text or a list of texts", param=name)
    return found


def _number(score: Any) -> float:
    """The shortest number that is the same float32."""
    return float(str(np.float32(score)))
