"""The recipe of a language model that ranks by the next word it would say: a plain transformers folder."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Literal

from embedkit.errors import ExportError
from embedkit_export.plan.detection.classifier import OUTPUT
from embedkit_export.recipes.outputs import Logits
from embedkit_export.recipes.recipe import Inferred, Recipe
from embedkit_export.sources.source import Source

from .template import PairTemplate, carries_pairs, of_chat, renderer

_QWEN = "<|im_start|>system\n{}<|im_end|>\n<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n"


@dataclass(frozen=True)
class Published:
    """A reranker whose authors tell its text and words in its card alone: how its folder is known (the architecture, and a
    sign in its name or card), and what they tell."""

    name: str
    architecture: str
    sign: str
    template: str
    words: list[str | int]
    activation: Literal["identity", "sigmoid"]
    max_tokens: int
    fields: dict[str, str] = field(default_factory=dict)


PUBLISHED = (
    Published(
        "Qwen3-Reranker",
        "Qwen3ForCausalLM",
        r"qwen3-reranker|Judge whether the Document meets the requirements based on the Query and the Instruct provided",
        _QWEN.format(
            "Judge whether the Document meets the requirements based on the Query and the Instruct provided. Note that the "
            'answer can only be "yes" or "no".',
            "<Instruct>: {instruction}\n<Query>: {query}\n<Document>: {document}",
        )
        + "<think>\n\n</think>\n\n",
        ["yes", "no"],
        "sigmoid",
        8192,
        {"instruction": "Given a web search query, retrieve relevant passages that answer the query"},
    ),
    Published(
        "mxbai-rerank-v2",
        "Qwen2ForCausalLM",
        r"mxbai-rerank-\w+-v2|MxbaiRerankV2",
        _QWEN.format(
            "You are Qwen, created by Alibaba Cloud. You are a helpful assistant.",
            "query: {query}\ndocument: {document}\nYou are a search relevance expert who evaluates how well documents match "
            "search queries. For each query-document pair, carefully analyze the semantic relationship between them, then "
            "provide your binary relevance judgment (0 for not relevant, 1 for relevant).\nRelevance:",
        ),
        ["1", "0"],
        "identity",
        8192,
    ),
    Published(
        "bge-reranker-v2-gemma",
        "GemmaForCausalLM",
        r"bge-reranker-v2-gemma|Given a query A and a passage B, determine whether the passage contains an answer",
        "<bos>A: {query}\nB: {document}\nGiven a query A and a passage B, determine whether the passage contains an answer to "
        "the query by providing a prediction of either 'Yes' or 'No'.",
        ["Yes"],
        "identity",
        1024,
    ),
)


def published(origin: Source) -> Published | None:
    """The published reranker that a plain folder is a copy of."""
    named = (getattr(getattr(origin.backbone, "config", None), "architectures", None) or [""])[0]
    card = (origin.folder / "README.md") if origin.folder else None
    text = card.read_text(encoding="utf-8", errors="replace") if card is not None and card.is_file() else ""
    folder = str(origin.folder.resolve()) if origin.folder else ""
    for one in PUBLISHED:
        if named == one.architecture and any(re.search(one.sign, where, re.I) for where in (origin.name, folder, text)):
            return one
    return None


def inferred(origin: Source, given: Recipe | None = None) -> Inferred:
    """The recipe of a plain language model as a reranker: by its chat template where that has a question and a document, as
    sentence-transformers takes it; else as its authors published it. Raises `ExportError` where nothing says what it reads,
    unless ``given`` has a template."""
    if not hasattr(origin.whole, "prepare_inputs_for_generation"):
        raise ExportError(
            f"{origin.name}: {type(origin.whole or origin.backbone).__name__} has no head that gives a pair its score; expected a "
            "...ForSequenceClassification or a ...ForCausalLM"
        )
    found, reason = _template(origin)
    known = published(origin)
    if found is None and known is not None:
        return _as_published(known)
    if found is None and (given is None or given.template == Recipe().template):
        raise ExportError(
            f"{origin.name}: its chat template has no place for a question and a document, so nothing says what this reranker reads; "
            'give `template` in a recipe, such as "Query: {query}\\nDocument: {document}\\nRelevant:", and the words that it answers '
            'with: outputs.logits = {kind = "logits", words = ["yes", "no"], activation = "sigmoid"}'
        )
    words: list[str | int] = ["yes", "no"]
    recipe = Recipe(
        dense=False, outputs={OUTPUT: Logits(words=words, activation="sigmoid")}, **found.options() if found else {}
    )
    reasons = [
        reason,
        "head: the logit of 'yes' behind the text less that of 'no', as sentence-transformers takes them",
    ]
    notes = (
        []
        if found is not None and found.whole
        else [
            "nothing in this folder says how a question and a document are joined: they follow each other as they are, as in "
            "sentence-transformers; give `template` in a recipe where the model was trained on another form"
        ]
    )
    return Inferred(recipe, reasons, notes)


def _template(origin: Source) -> tuple[PairTemplate | None, str]:
    tokenizer = origin.tokenizer
    if not getattr(tokenizer, "chat_template", None):
        if published(origin) is not None:
            return None, ""
        return PairTemplate(["{query}", "{document}"]), "template: two segments, since there is no chat template"
    from sentence_transformers.base.modality import InputFormatter

    formatter = InputFormatter(origin.backbone.config.model_type, "auto", processor=tokenizer)
    render = renderer(formatter, tokenizer, {})
    if not carries_pairs(render):
        return None, ""
    return of_chat(render, None), "template: what the chat template renders of a question and a document"


def _as_published(known: Published) -> Inferred:
    options: dict[str, Any] = PairTemplate(known.template, known.fields, whole=True).options()
    head = Logits(words=known.words, activation=known.activation)
    recipe = Recipe(dense=False, outputs={OUTPUT: head}, max_tokens=known.max_tokens, **options)
    reason = (
        f"template and words ({', '.join(map(str, known.words))}): those that the authors of {known.name} published"
    )
    return Inferred(recipe, [reason], [f"read as {known.name}; look at its template with --dry-run"])
