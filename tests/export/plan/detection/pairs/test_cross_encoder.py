"""CrossEncoders of sentence-transformers: words' logits behind a chat template, layers on a pooled vector, prompts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import sentence_transformers as st
import torch

import embedkit_export
from embedkit.errors import ExportError
from helpers import models, rerankers, slow
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


def layered(family: str, mode: str, folder: Path, labels: int = 1, **options: Any) -> Path:
    """The form of ettin's rerankers: layers on a pooled vector, the last of which gives the scores."""
    body = models.save(family, folder / "body")
    dense, pooling = st.base.modules.Dense, st.sentence_transformer.modules.Pooling
    first = dense(64, 64, bias=False, activation_function=torch.nn.GELU())
    last = dense(64, labels, activation_function=torch.nn.Identity(), module_output_name="scores")
    for layer in (first, last):
        models.widen(layer)
    norm = st.sentence_transformer.modules.LayerNorm(64)
    transformer = st.base.modules.Transformer(str(body))
    modules = [transformer, pooling(64, pooling_mode=mode), first, norm, last]
    st.CrossEncoder(modules=modules, device="cpu", **options).save_pretrained(str(folder / "model"))
    return folder / "model"


@pytest.mark.parametrize(
    ("family", "mode", "labels"), [("modernbert", "cls", 1), ("bert", "mean", 3), ("qwen3", "lasttoken", 1)]
)
def test_layers_on_a_pooled_vector_with_a_prompt(family: str, mode: str, labels: int, tmp_path: Path) -> None:
    prompts = {"query": "find the ", "other": ""}
    folder = layered(family, mode, tmp_path, labels, prompts=prompts, default_prompt_name="query")
    model = st.CrossEncoder(str(folder), device="cpu")
    expected = np.concatenate([model.predict([pair]).reshape(1, labels) for pair in PAIRS])
    assert np.abs(planned(folder, tmp_path / "plan") - expected).max() < 1e-4
    assert np.abs(model.predict(PAIRS[:1], prompt="").reshape(1, labels) - expected[:1]).max() > 1e-4


def test_layers_on_a_pooled_vector_are_exported(tmp_path: Path) -> None:
    folder = layered("modernbert", "cls", tmp_path)
    reranker = exported(folder, tmp_path, max_tokens=40)
    assert list(reranker.encoder.outputs()) == ["logits"]
    model = st.CrossEncoder(str(folder), device="cpu", max_length=40)
    agree(reranker, alone(model))


def test_prompts_beside_a_head_for_classes(tmp_path: Path) -> None:
    folder = models.save("bert", tmp_path / "plain", head="ForSequenceClassification", num_labels=1)
    model = st.CrossEncoder(str(folder), device="cpu", prompts={"web": "find {it}: "}, default_prompt_name="web")
    model.save_pretrained(str(tmp_path / "model"))
    found = planned(tmp_path / "model", tmp_path / "plan")[:, 0]
    assert np.abs(found - alone(model)).max() < 1e-4
    assert np.abs(found - alone(model, prompt="")).max() > 1e-4


@pytest.mark.parametrize("family", slow.but(["gpt2"], ["qwen3", "gemma", "gpt2"]))
@pytest.mark.parametrize("pad_id", [1, None])
def test_decoders_with_a_head_for_classes(family: str, pad_id: int | None, tmp_path: Path) -> None:
    size = {"n_positions": 256} if family == "gpt2" else {"max_position_embeddings": 256}
    model, tokenizer = models.make(family, head="ForSequenceClassification", num_labels=1, pad_token_id=pad_id, **size)
    model.save_pretrained(tmp_path / "plain")
    tokenizer.save_pretrained(tmp_path / "plain")
    expected = alone(st.CrossEncoder(str(tmp_path / "plain"), device="cpu"))
    assert np.abs(planned(tmp_path / "plain", tmp_path / "plan", kind="reranker")[:, 0] - expected).max() < 1e-4
    if family == "qwen3" and pad_id is None:  # padding has an id that a text may have too
        reranker = exported(tmp_path / "plain", tmp_path, kind="reranker", max_tokens=60)
        agree(reranker, alone(st.CrossEncoder(str(tmp_path / "plain"), device="cpu", max_length=60)))


def test_a_template_without_a_pair_and_other_modules_are_refused(tmp_path: Path) -> None:
    folder = language_model(tmp_path / "plain", "{{ messages[0].content[:0] }}")
    with pytest.raises(ExportError, match="chat template: what it renders does not hold the query"):
        embedkit_export.prepare(by_words(folder, ("y", "n")))
    model = by_words(folder, ("y", "n"))
    model.append(st.base.modules.Normalize())
    with pytest.raises(ExportError, match="Transformer and LogitScore"):
        embedkit_export.prepare(model)
