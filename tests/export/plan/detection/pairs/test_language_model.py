"""Plain folders of language models as rerankers: by their chat template, as published, or by a recipe."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import sentence_transformers as st
from transformers import AutoModelForCausalLM, AutoTokenizer

import embedkit_export
from embedkit.errors import ExportError
from embedkit_export.recipes.recipe import Recipe
from helpers import models, rerankers
from helpers.rerankers import PAIRS, agree, alone, exported, language_model, planned, said

QWEN_START, QWEN_END = "<|im_start|>system\n", "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"


def with_words(folder: Path, words: tuple[str, ...], bos: str | None = None) -> Path:
    """The folder's tokenizer with these words as tokens of their own (the model has rows for them), and another first token."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder)
    tokenizer.add_tokens(list(words))
    if bos is not None:
        tokenizer.add_special_tokens({"bos_token": bos})
    model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    models.widen(model)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("template", [rerankers.MXBAI, rerankers.QWEN3, None])
def test_as_sentence_transformers_reads_a_plain_folder(template: str | None, tmp_path: Path) -> None:
    folder = with_words(language_model(tmp_path / "plain", template), ("yes", "no"))
    expected = alone(st.CrossEncoder(str(folder), device="cpu"))
    assert np.ptp(expected) > 1e-3
    assert np.abs(planned(folder, tmp_path / "plan", kind="reranker")[:, 0] - expected).max() < 1e-4
    told = embedkit_export.prepare(folder, kind="reranker").text()
    assert ("follow each other as they are" in told) == (template is None)


def published_ids(name: str, tokenizer: object, query: str, document: str) -> list[int]:
    """What the code in the card of each reranker makes of a pair: its parts tokenised one by one."""

    def read(text: str) -> list[int]:
        found: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]  # type: ignore[operator]
        return found

    if name == "Qwen3-Reranker-0.6B":
        instruction = "Given a web search query, retrieve relevant passages that answer the query"
        judge = (
            "Judge whether the Document meets the requirements based on the Query and the Instruct provided. Note that the answer "
            'can only be "yes" or "no".<|im_end|>\n<|im_start|>user\n'
        )
        body = f"<Instruct>: {instruction}\n<Query>: {query}\n<Document>: {document}"
        return read(QWEN_START + judge) + read(body) + read(QWEN_END)
    if name == "mxbai-rerank-base-v2":
        start = "You are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\n<|im_start|>user\n"
        task = (
            "You are a search relevance expert who evaluates how well documents match search queries. For each query-document pair, "
            "carefully analyze the semantic relationship between them, then provide your binary relevance judgment (0 for not "
            "relevant, 1 for relevant).\nRelevance:"
        )
        pair = read(f"query: {query}") + read("\n") + read(f"document: {document}") + read("\n") + read(task)
        return read(QWEN_START + start) + pair + read("<|im_end|>\n<|im_start|>assistant\n")
    task = (
        "Given a query A and a passage B, determine whether the passage contains an answer to the query by providing a prediction of "
        "either 'Yes' or 'No'."
    )
    begin = [tokenizer.bos_token_id]  # type: ignore[attr-defined]
    return begin + read(f"A: {query}") + read("\n") + read(f"B: {document}") + read("\n") + read(task)


PUBLISHED = {
    "Qwen3-Reranker-0.6B": ("qwen3", ("yes", "no")),
    "mxbai-rerank-base-v2": ("qwen2", ("1", "0")),
    "bge-reranker-v2-gemma": ("gemma", ("Yes",)),
}
SHORT = [pair for pair in PAIRS if max(map(len, pair)) < 150 and not any(text != text.strip() for text in pair)]


@pytest.mark.parametrize("name", PUBLISHED)
def test_what_the_authors_publish(name: str, tmp_path: Path) -> None:
    family, words = PUBLISHED[name]
    folder = language_model(tmp_path / name, None, family=family, limit=1024, max_position_embeddings=1024)
    with_words(folder, words, "<bos>" if family == "gemma" else None)
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    rows = [published_ids(name, tokenizer, *pair) for pair in SHORT]
    expected = said(model, rows, [tokenizer.convert_tokens_to_ids(word) for word in words])
    if name.startswith("Qwen"):
        expected = 1 / (1 + np.exp(-expected))
        assert "pass --kind reranker" in embedkit_export.prepare(folder).text()
    found = planned(folder, tmp_path / "plan", SHORT, kind="reranker")[:, 0]
    assert np.ptp(expected) > 1e-4
    assert np.abs(found - expected).max() < 1e-4


def test_a_folder_of_another_name_by_its_card(tmp_path: Path) -> None:
    folder = with_words(
        language_model(tmp_path / "mine", "{{ messages[0].content[:0] }}", max_position_embeddings=512), ("yes", "no")
    )
    with pytest.raises(ExportError, match="no place for a question and a document"):
        embedkit_export.prepare(folder, kind="reranker")
    (folder / "README.md").write_text(
        '```python\nprefix = "<|im_start|>system\\nJudge whether the Document meets the requirements based on the Query and the '
        'Instruct provided."\n```'
    )
    tokenizer = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps({**tokenizer, "model_max_length": 512}))
    assert "published" in embedkit_export.prepare(folder, kind="reranker").text()


@pytest.mark.slow
def test_a_recipe_says_template_and_words(tmp_path: Path) -> None:
    folder = language_model(tmp_path / "plain", "{{ messages[0].content[:0] }}")
    recipe = Recipe(
        template="Q: {query} D: {document} A:",
        cut="body",
        outputs={"logits": {"kind": "logits", "words": ["y", "n"]}},
    )
    reranker = exported(folder, tmp_path, kind="reranker", recipe=recipe)
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    rows = [tokenizer(f"Q: {query} D: {document} A:")["input_ids"] for query, document in SHORT]
    agree(reranker, said(model, rows, tokenizer.convert_tokens_to_ids(["y", "n"])), SHORT)
    with pytest.raises(ExportError, match="'perhaps so' is no token"):
        odd = Recipe(template=recipe.template, outputs={"logits": {"kind": "logits", "words": ["perhaps so"]}})
        embedkit_export.prepare(folder, kind="reranker", recipe=odd)
    plain = models.save("bert", tmp_path / "bert", head="ForMaskedLM")
    with pytest.raises(ExportError, match="says no next word"):
        embedkit_export.prepare(
            plain, recipe=Recipe(dense=False, outputs=recipe.outputs, model_class="BertForMaskedLM")
        )
