"""Rerankers that answer by a word's logit, with the templates of those that people use, and what torch makes of pairs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import sentence_transformers as st
import torch

import embedkit_export
from embedkit import Reranker
from embedkit.runtime.outputs import activated
from embedkit_export.plan.tokenizers import Tokenizers
from helpers import models
from helpers.systems import TEXTS, sample

PAIRS = [
    *((TEXTS[i], TEXTS[-1 - i]) for i in range(len(TEXTS))),
    ("a", " two\n\nlines \n"),
    ("tea " * 90, "b"),
    ("b", "tea " * 200),
]

QWEN3 = (
    "<|im_start|>system\nJudge the Document.<|im_end|>\n<|im_start|>user\n<Instruct>: "
    '{{ messages | selectattr("role", "eq", "system") | map(attribute="content") | first | default("find {passages}") }}\n'
    '<Query>: {{ messages | selectattr("role", "eq", "query") | map(attribute="content") | first }}\n'
    '<Document>: {{ messages | selectattr("role", "eq", "document") | map(attribute="content") | first }}<|im_end|>\n'
    "<|im_start|>assistant\n<think>\n\n</think>\n\n"
)
MXBAI = (
    "<|im_start|>user\n{% for m in messages %}{% if m.role == 'query' %}query: {{ m.content }}\n{% elif m.role == 'document' %}"
    "document: {{ m.content }}\n{% endif %}{% endfor %}0 or 1?\nRelevance:<|im_end|>\n<|im_start|>assistant\n"
)
GEMMA = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'query' %}A: {{ m.content[0].text | trim }}\n"
    "{% elif m.role == 'document' %}B: {{ m.content[0].text | trim }}\n{% endif %}{% endfor %}Answer 'Yes' or 'No'."
)
CHATML = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
"""Passes any role on."""
BACKWARDS = (
    "**Document**:\n{{ (messages | selectattr('role', 'eq', 'document') | first).content }}\n**Query**:\n"
    "{{ (messages | selectattr('role', 'eq', 'query') | first).content }}<end>"
)


def language_model(
    folder: Path, template: str | None, *, family: str = "qwen3", limit: int = 200, **config: Any
) -> Path:
    """A plain folder of a decoder with a head for words, whose tokenizer has a chat template."""
    model, tokenizer = models.make(family, head="ForCausalLM", **{"max_position_embeddings": 256, **config})
    tokenizer.model_max_length = limit
    tokenizer.chat_template = template
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def by_words(folder: Path, words: Sequence[str], **options: Any) -> Any:
    """The CrossEncoder of a plain folder that answers with the logits of words."""
    transformer = st.base.modules.Transformer(
        str(folder), transformer_task="text-generation", processing_kwargs=options.pop("processing_kwargs", None)
    )
    ids = [transformer.tokenizer.convert_tokens_to_ids(word) for word in words]
    return st.CrossEncoder(modules=[transformer, st.cross_encoder.modules.LogitScore(*ids)], device="cpu", **options)


def exported(model: Any, folder: Path, **options: Any) -> Reranker:
    """The reranker of a model, in fp32."""
    folder.mkdir(exist_ok=True)
    report = embedkit_export.export(
        model,
        output=folder / "bundle",
        sample=sample(folder, ("query", "document")),
        timing=False,
        **{"variants": ("fp32",), **options},
    )
    assert not report.missing
    return Reranker.load(report.path, variant="fp32")


def planned(model: Any, folder: Path, pairs: Sequence[tuple[str, str]] = PAIRS, **options: Any) -> np.ndarray:
    """(n, outputs) scores by the planned tokenizer and the torch module that an export captures, each pair by itself."""
    plan = embedkit_export.prepare(model, **options).plan
    folder.mkdir(exist_ok=True)
    tokenizers = Tokenizers(plan, folder)
    graph = plan.graphs[plan.roles["default"].graph]
    rows = []
    for query, document in pairs:
        feed = tokenizers.feed("default", {"query": query, "document": document})
        with torch.no_grad():
            rows.append(
                graph.module(*(torch.from_numpy(np.asarray(feed[name])) for name in graph.module.inputs)).numpy()
            )
    return activated(np.concatenate(rows), next(iter(graph.outputs.values())).activation)


def agree(reranker: Reranker, expected: Any, pairs: Sequence[tuple[str, str]] = PAIRS) -> None:
    """The scores of the pairs are those expected, and of each pair alone, or in another order, the same bytes."""
    found = reranker.score(pairs)
    assert found.shape == expected.shape
    assert np.ptp(expected) > 1e-3
    assert np.abs(found - expected).max() < 1e-4
    assert np.array_equal(reranker.score(list(pairs)[::-1])[::-1], found)
    for i, pair in enumerate(pairs):
        assert reranker.score([pair]).tobytes() == found[i : i + 1].tobytes()


def alone(model: Any, pairs: Sequence[tuple[str, str]] = PAIRS, **options: Any) -> np.ndarray:
    """(n,) what a CrossEncoder makes of each pair by itself, where no padding moves its positions."""
    return np.concatenate([model.predict([pair], **options) for pair in pairs])


def said(model: Any, rows: Sequence[Sequence[int]], words: Sequence[int]) -> np.ndarray:
    """(n,) the logit of the first word behind each row of ids, less that of the second, by transformers alone."""
    out = []
    for ids in rows:
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([list(ids)])).logits[0, -1].double()
        out.append(logits[words[0]] - (logits[words[1]] if len(words) > 1 else 0.0))
    return torch.stack(out).numpy()
