"""Keys of transformers' own files that change a vector are honoured, or refused by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sentence_transformers import CrossEncoder, SentenceTransformer

from embedkit import ExportError
from embedkit_export import prepare
from embedkit_export.plan.tokenizers import Tokenizers
from helpers import models, rerankers, slow

TEXTS = (models.SENTENCES[0], " ".join(models.SENTENCES), "The HARBOUR [SEP] was </s> Quiet, didn't é bread", " boat")
PAIRS = rerankers.PAIRS[:3]
CONFIG, TOKENIZER = "config.json", "tokenizer_config.json"
CHANGING: list[tuple[str, str, dict[str, Any]]] = [
    ("bert", CONFIG, {"is_decoder": True}),
    ("bert", TOKENIZER, {"model_max_length": 12}),
    ("bert", CONFIG, {"is_causal": True}),
    ("bert", CONFIG, {"hidden_act": "relu"}),
    ("bert", CONFIG, {"layer_norm_eps": 0.1}),
    ("bert", CONFIG, {"num_attention_heads": 2}),
    ("bert", TOKENIZER, {"do_lower_case": False, "tokenizer_class": "BertTokenizer"}),
    ("bert", TOKENIZER, {"strip_accents": False, "tokenizer_class": "BertTokenizer"}),
    ("bert", TOKENIZER, {"cls_token": "[MASK]", "tokenizer_class": "BertTokenizer"}),
    ("qwen3", CONFIG, {"rope_scaling": {"type": "linear", "factor": 4.0}}),
    ("mistral", CONFIG, {"sliding_window": 6}),
    ("mistral", CONFIG, {"is_causal": False}),
    ("embedding-gemma", CONFIG, {"use_bidirectional_attention": False}),
    ("embedding-gemma", CONFIG, {"layer_types": ["full_attention", "full_attention"]}),
    ("modernbert", CONFIG, {"local_attention": 4}),
    ("gpt2", CONFIG, {"scale_attn_weights": False}),
    ("roberta", TOKENIZER, {"add_prefix_space": True, "tokenizer_class": "RobertaTokenizer"}),
    ("xlm-roberta", TOKENIZER, {"add_prefix_space": False, "tokenizer_class": "XLMRobertaTokenizer"}),
    ("gemma", TOKENIZER, {"add_eos_token": True, "tokenizer_class": "GemmaTokenizerFast"}),
]
HARMLESS: list[tuple[str, str, dict[str, Any]]] = [
    ("bert", CONFIG, {"is_encoder_decoder": True}),
    ("bert", TOKENIZER, {"padding_side": "left"}),
    ("bert", TOKENIZER, {"pad_token": "[MASK]"}),
    ("bert", TOKENIZER, {"model_input_names": ["input_ids", "token_type_ids"]}),
    ("bert", TOKENIZER, {"model_max_length": 10**30}),
]
HEADS: list[tuple[str, dict[str, Any]]] = [
    ("modernbert", {"classifier_pooling": "mean"}),
    ("bert", {"sbert_ce_default_activation_function": "torch.nn.modules.linear.Identity"}),
    ("modernbert", {"classifier_activation": "relu"}),
    ("deberta-v2", {"pooler_hidden_act": "relu"}),
    ("qwen3", {"pad_token_id": 2}),
    ("gpt2", {"pad_token_id": 2}),
    ("bert", {"sentence_transformers": {"activation_fn": "torch.nn.modules.activation.Tanh"}}),
]
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"split_special_tokens": True}, "split_special_tokens"),
    ({"truncation_side": "left"}, "truncation_side"),
]


def changed(folder: Path, file: str, change: dict[str, Any]) -> None:
    path = folder / file
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))


def reference(folder: Path) -> Any:
    """Each text by itself, by sentence-transformers."""
    model = SentenceTransformer(str(folder), device="cpu")
    return np.stack([model.encode([text])[0] for text in TEXTS])


def planned(folder: Path, tmp_path: Path) -> Any:
    """Each text by the planned tokenizer and the module that would be captured."""
    plan = prepare(folder).plan
    tokenizers, module = Tokenizers(plan, tmp_path), plan.graphs["default"].module
    rows = []
    for text in TEXTS:
        feed = tokenizers.feed("default", text)
        with torch.no_grad():
            out = module(*(torch.from_numpy(np.asarray(feed[name])) for name in module.inputs))
        rows.append((out if isinstance(out, torch.Tensor) else out[0]).numpy()[0])
    return np.stack(rows)


def compared(family: str, file: str, change: Any, tmp_path: Path) -> float:
    """How far the key moves vectors of sentence-transformers; those of the plan move with them."""
    models.save(family, tmp_path / "plain")
    folder = tmp_path / "model"
    SentenceTransformer(str(tmp_path / "plain"), device="cpu").save(str(folder))
    before = reference(folder)
    changed(folder, file, change)
    expected = reference(folder)
    assert abs(planned(folder, tmp_path) - expected).max() < 1e-5
    return float(abs(expected - before).max())


@pytest.mark.parametrize(("family", "file", "change"), slow.after(2, CHANGING))
def test_a_key_that_changes_vectors_is_honoured(family: str, file: str, change: Any, tmp_path: Path) -> None:
    assert compared(family, file, change, tmp_path) > 1e-3


@pytest.mark.parametrize(("family", "file", "change"), slow.after(1, HARMLESS))
def test_a_key_that_changes_nothing_does_not_hinder(family: str, file: str, change: Any, tmp_path: Path) -> None:
    assert compared(family, file, change, tmp_path) < 1e-5


@pytest.mark.parametrize(("family", "change"), slow.after(1, HEADS))
def test_a_key_of_a_head_that_changes_scores_is_honoured(family: str, change: Any, tmp_path: Path) -> None:
    model, tokenizer = models.make(family, head="ForSequenceClassification", num_labels=1)
    folder = tmp_path / "model"
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    before = rerankers.alone(CrossEncoder(str(folder), device="cpu"), PAIRS)
    changed(folder, CONFIG, change)
    expected = rerankers.alone(CrossEncoder(str(folder), device="cpu"), PAIRS)
    assert abs(expected - before).max() > 1e-4
    found = rerankers.planned(folder, tmp_path / "plan", PAIRS, kind="reranker")
    assert abs(found[:, 0] - expected).max() < 1e-5


@pytest.mark.parametrize(("change", "named"), REFUSED)
def test_a_key_that_a_bundle_cannot_have_is_refused(change: Any, named: str, tmp_path: Path) -> None:
    folder = models.save("bert", tmp_path / "model")
    changed(folder, TOKENIZER, change)
    with pytest.raises(ExportError, match=named):
        prepare(folder)
