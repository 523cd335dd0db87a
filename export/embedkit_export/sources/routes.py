"""The modules of a SentenceTransformer as they follow one another for a role, and what reads the text at their head."""

from __future__ import annotations

import json
from typing import Any

from torch import Tensor, nn

from embedkit.errors import ExportError

ANY_LENGTH = 1 << 16
"""Tokens that are read where a model has no limit of its own."""


def pipeline(model: Any, role: str, kind: str = "text") -> list[Any]:
    """The modules that ``encode_query``, ``encode_document`` and (for any other role) ``encode`` run on items of a kind (``text``,
    ``image``), in order: of a Router those of its route. Raises `ExportError` where there is none."""
    out: list[Any] = []
    for module in model:
        out += _routed(module, role, kind) if type(module).__name__ == "Router" else [module]
    return out


def _routed(router: Any, role: str, kind: str) -> list[Any]:
    task = role if role in ("query", "document") else None
    try:
        route = router._resolve_route(task, kind)
    except ValueError as error:
        advice = (
            "give the router a default_route" if task is None else f"name a route {task!r} or map it in route_mappings"
        )
        raise ExportError(f"modules: Router: role {role!r} has no route: {error}; {advice}") from None
    inner: list[Any] = []
    for module in router.sub_modules[route]:
        inner += _routed(module, role, kind) if type(module).__name__ == "Router" else [module]
    return inner


def prompts(model: Any) -> dict[str, str]:
    """Roles and their prompts, as ``encode``, ``encode_query`` and ``encode_document`` of sentence-transformers resolve
    them."""
    given = {name: text or "" for name, text in model.prompts.items()}
    default = given.get(model.default_prompt_name, "") if model.default_prompt_name else ""
    document = next((given[name] for name in ("document", "passage", "corpus") if name in given), default)
    return {**given, "default": default, "query": given.get("query", default), "document": document}


def template(prompt: str) -> str:
    """A recipe's template with a prompt before the text."""
    return prompt.replace("{", "{{").replace("}", "}}") + "{text}"


class Table(nn.Module):
    """(batch, tokens) ids -> (batch, tokens, dim) rows of a table: the backbone of a StaticEmbedding."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.register_buffer("table", weight.detach().float())

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Take rows; what the mask hides is left to the pooling."""
        table: Any = self.table
        return nn.functional.embedding(input_ids, table)


class WordTable(Table):
    """The backbone of a SparseStaticEmbedding: a word's vector is its weight."""

    table: Tensor

    def __init__(self, weight: Tensor) -> None:
        super().__init__(weight[:, None])


def reader(first: Any) -> tuple[Any, Any]:
    """The backbone and the transformers tokenizer of a pipeline's first module; None where it has none."""
    if type(first).__name__ == "SparseStaticEmbedding":
        return WordTable(first.weight), first.tokenizer
    if type(first).__name__ != "StaticEmbedding":
        return getattr(first, "auto_model", None), getattr(first, "tokenizer", None)
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    whole = json.loads(first.tokenizer.to_str())
    whole["post_processor"] = whole["truncation"] = whole["padding"] = None  # it reads no special tokens
    own = Tokenizer.from_str(json.dumps(whole))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=own, model_max_length=token_limit(first))
    return Table(first.embedding.weight), tokenizer


def token_limit(static: Any) -> int:
    """Tokens that a StaticEmbedding reads: as many as its tokenizer cuts a text to."""
    return min(int((static.tokenizer.truncation or {}).get("max_length", ANY_LENGTH)), ANY_LENGTH)


def limit_length(model: Any, limit: int) -> None:
    """Let a model of sentence-transformers read at most so many tokens of a text."""
    for module in model.modules():
        if type(module).__name__ in ("Transformer", "MLMTransformer"):
            module.max_seq_length = limit
            for options in getattr(module, "processing_kwargs", {}).values():
                if options.get("max_length"):
                    options["max_length"] = limit
            for own in ("query_length", "document_length"):
                if getattr(module, own, None) is not None:
                    setattr(module, own, limit)
        elif type(module).__name__ == "SparseStaticEmbedding":
            module.tokenizer.model_max_length = limit
        elif type(module).__name__ == "StaticEmbedding":
            module.tokenizer.enable_truncation(limit)
