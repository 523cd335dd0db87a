"""CrossEncoders of sentence-transformers: words' logits behind a chat template, layers on a pooled vector, prompts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import sentence_transformers as st
import torch

from helpers import rerankers, slow
from helpers.rerankers import PAIRS, agree, alone, by_words, exported, language_model, planned

FORMS: dict[str, tuple[str, str | None, tuple[str, ...], dict[str, Any]]] = {
    "qwen3-reranker": ("qwen3", rerankers.QWEN3, ("y", "n"), {}),
    "mxbai-rerank": ("llama", rerankers.MXBAI, ("y", "n"), {"activation_fn": torch.nn.Identity()}),
    "bge-gemma": ("gemma", rerankers.GEMMA, ("y",), {"activation_fn": torch.nn.Identity()}),
    "roles passed on": (
        "mistral",
        rerankers.CHATML,
        ("y", "n"),
        {"prompts": {"web": "find"}, "default_prompt_name": "web"},
    ),
    "document first": ("qwen3", rerankers.BACKWARDS, ("y", "n"), {}),
    "no chat template": ("llama", None, ("y", "n"), {"prompts": {"web": "find {it} "}, "default_prompt_name": "web"}),
}


def folder_of(form: str, folder: Path) -> Path:
    family, template, words, options = FORMS[form]
    model = by_words(language_model(folder / "plain", template, family=family), words, **options)
    model.save_pretrained(str(folder / "model"))
    return folder / "model"


@pytest.mark.parametrize("form", FORMS)
def test_the_logits_of_words_behind_a_template(form: str, tmp_path: Path) -> None:
    folder = folder_of(form, tmp_path)
    expected = alone(st.CrossEncoder(str(folder), device="cpu"))
    assert np.ptp(expected) > 1e-3
    assert np.abs(planned(folder, tmp_path / "plan")[:, 0] - expected).max() < 1e-4


@pytest.mark.parametrize("form", slow.but(("qwen3-reranker",), ("bge-gemma", "qwen3-reranker", "document first")))
def test_rerankers_by_words_are_exported(form: str, tmp_path: Path) -> None:
    folder = folder_of(form, tmp_path)
    reranker = exported(folder, tmp_path)
    model = st.CrossEncoder(str(folder), device="cpu")
    agree(reranker, alone(model))
    if form == "qwen3-reranker":  # an instruction is a field of the template
        found = reranker.score(PAIRS[:5], fields={"instruction": "the harbour"})
        assert np.abs(found - alone(model, PAIRS[:5], prompt="the harbour")).max() < 1e-4
        assert np.abs(found - alone(model, PAIRS[:5])).max() > 1e-4
    graph = onnx.load(next(reranker.encoder.bundle.folder.glob("*.onnx")), load_external_data=False).graph
    vocabulary = model[0].model.config.vocab_size
    assert sum(vocabulary in tensor.dims for tensor in graph.initializer) == 1  # the table of embeddings
