"""Adapters of peft, alone, inside models, and of models with heads; the reference is peft itself, unmerged."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
import transformers
from safetensors.torch import load_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Normalize, Transformer
from sentence_transformers.sentence_transformer.modules import Pooling

from embedkit import ExportError
from embedkit_export import Recipe, Surgery, prepare
from embedkit_export.sources import adapters
from helpers import models, slow, systems
from helpers.systems import TEXTS, agree


def trained(model: Any, **options: Any) -> Any:
    """A model with an adapter whose weights, and what is trained beside it, are no longer those of its beginning."""
    torch.manual_seed(5)
    wrapped = peft.get_peft_model(model, peft.LoraConfig(**{"r": 4, **options}))
    with torch.no_grad():
        for name, parameter in wrapped.named_parameters():
            if "lora_" in name:
                parameter.normal_(0, 0.2)
            elif parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) * 0.1)
    return wrapped.eval()


def alone(model: Any, tokenizer: Any, pooling: str = "mean", layer: int = -1) -> torch.Tensor:
    """(n, dim) vectors of the texts, each by itself."""
    rows = []
    with torch.no_grad():
        for text in TEXTS:
            batch = tokenizer(text, truncation=True, max_length=64, return_tensors="pt")
            given = {name: batch[name] for name in ("input_ids", "attention_mask")}
            out = model(**given, output_hidden_states=True)
            states = (out.last_hidden_state if layer == -1 else out.hidden_states[layer])[0]
            rows.append({"mean": states.mean(0), "first": states[0], "last": states[-1]}[pooling])
    return torch.stack(rows)


def base(family: str, folder: Path, **sizes: Any) -> tuple[Any, Any]:
    model, tokenizer = models.make(family, **{"layers": 2, **sizes})
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return model, tokenizer


QWEN = {"hidden": 96, "num_attention_heads": 3, "num_key_value_heads": 1, "head_dim": 32}
BERT = {"hidden": 60, "num_attention_heads": 5}


@pytest.mark.parametrize(
    ("family", "sizes", "options"),
    [
        ("qwen3", QWEN, {"target_modules": "all-linear", "rank_pattern": {"q_proj": 5, r"layers\.1\.mlp\.up_proj": 2}}),
        ("qwen3", QWEN, {"target_modules": ["q_proj", "gate_proj"], "use_rslora": True, "use_dora": True}),
        ("qwen3", QWEN, {"target_modules": ["embed_tokens", "o_proj"], "alpha_pattern": {"o_proj": 3}}),
        ("bert", BERT, {"target_modules": ["query", "dense"], "modules_to_save": ["LayerNorm"]}),
        ("bert", BERT, {"target_modules": ["query"], "bias": "all"}),
        ("bert", BERT, {"target_modules": ["key"], "trainable_token_indices": [5, 9, 11]}),
        ("gpt2", {"hidden": 60, "n_head": 5}, {"target_modules": ["c_attn", "c_proj"], "fan_in_fan_out": True}),
        ("t5", {"hidden": 40}, {"target_modules": ["q", "wi_0", "wo"]}),
        ("modernbert", {"hidden": 48, "num_attention_heads": 3, "layers": 3},
         {"target_modules": ["Wqkv", "Wi"], "layers_to_transform": [0, 2], "layers_pattern": "layers"}),
    ],
)  # fmt: skip
def test_kinds(family: str, sizes: dict[str, Any], options: dict[str, Any], tmp_path: Path) -> None:
    model, tokenizer = models.make(family, **{"layers": 2, **sizes})
    tuned = trained(copy.deepcopy(model), **options)
    tuned.save_pretrained(tmp_path)
    expected, before = alone(tuned, tokenizer), alone(model, tokenizer)
    merged, _ = adapters.merge(model, tmp_path)
    torch.testing.assert_close(alone(merged, tokenizer), expected, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(before, expected, atol=1e-2)


def test_names_and_patterns_of_the_model_with_its_head(tmp_path: Path) -> None:
    """A scale that were looked up by another name would change vectors and raise nothing."""
    body, tokenizer = models.make("qwen3", layers=3, **QWEN)
    whole = transformers.Qwen3ForCausalLM(body.config)
    whole.model.load_state_dict(body.state_dict())
    tuned = trained(
        whole,
        task_type="CAUSAL_LM",
        target_modules=["q_proj", "up_proj", "lm_head"],
        modules_to_save=["norm"],
        alpha_pattern={"model.layers.1.self_attn.q_proj": 23},
        rank_pattern={"^model.layers.2.mlp.up_proj": 2},
    )
    tuned.save_pretrained(tmp_path)
    merged, record = adapters.merge(body, tmp_path)
    assert type(merged) is type(body)
    torch.testing.assert_close(
        alone(merged, tokenizer), alone(tuned.base_model.model.model, tokenizer), rtol=1e-4, atol=1e-4
    )
    assert "left over, of the head: base_model.model.lm_head" in record


def test_a_classifier_that_was_trained_beside_it_is_left_over(tmp_path: Path) -> None:
    base("bert", tmp_path / "base", **BERT)
    whole = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path / "base")
    tuned = trained(whole, task_type="SEQ_CLS", target_modules=["query", "dense"])
    tuned.save_pretrained(tmp_path / "adapter")
    body = transformers.AutoModel.from_pretrained(tmp_path / "base")
    tokenizer = models.make_tokenizer("word")
    merged, record = adapters.merge(body, tmp_path / "adapter")
    torch.testing.assert_close(
        alone(merged, tokenizer), alone(tuned.base_model.model.bert, tokenizer), rtol=1e-4, atol=1e-4
    )
    assert "base_model.model.classifier.weight" in record


def test_tokens_that_were_added(tmp_path: Path) -> None:
    """The adapter's own folder has the tokenizer that knows them."""
    _, tokenizer = base("bert", tmp_path / "base", **BERT)
    tokenizer.add_tokens(["zyzzyva"])
    model = transformers.AutoModel.from_pretrained(tmp_path / "base")
    model.resize_token_embeddings(len(tokenizer) + 3)
    tuned = trained(model, target_modules=["query"])
    tuned.save_pretrained(tmp_path / "adapter")
    tokenizer.save_pretrained(tmp_path / "adapter")
    assert "base_model.model.embeddings.word_embeddings.weight" in load_file(
        tmp_path / "adapter" / "adapter_model.safetensors"
    )
    origin = prepare(tmp_path / "adapter", pooling="mean").origin
    assert origin.tokenizer.tokenize("a zyzzyva") == ["a", "zyzzyva"]
    ids = origin.tokenizer("a zyzzyva", return_tensors="pt")
    with torch.no_grad():
        found, expected = (m(**ids).last_hidden_state for m in (origin.backbone, tuned))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_an_adapter_is_exported_with_its_base(tmp_path: Path) -> None:
    model, tokenizer = base("qwen3", tmp_path / "base", **QWEN)
    tuned = trained(transformers.AutoModel.from_pretrained(tmp_path / "base"), target_modules="all-linear")
    tuned.save_pretrained(tmp_path / "adapter")
    encoder = systems.export(tmp_path / "adapter", Recipe(pooling="last"), tmp_path, variants=("fp32", "int8"))
    expected = alone(tuned, tokenizer, "last")
    agree(encoder, TEXTS, expected)
    assert systems.apart(expected, alone(model, tokenizer, "last")) > 0.1
    assert encoder.bundle.manifest.source.surgery == ["base base", "lora adapter: merged 28 weights, LORA, r = 4"]


def test_a_base_beside_the_adapter_and_one_that_is_nowhere(tmp_path: Path) -> None:
    base("bert", tmp_path / "base", **BERT)
    trained(transformers.AutoModel.from_pretrained(tmp_path / "base"), target_modules=["query"]).save_pretrained(
        tmp_path / "adapter"
    )
    file = tmp_path / "adapter" / "adapter_config.json"
    config = json.loads(file.read_text())

    def named(path: str | None) -> Path:
        file.write_text(json.dumps({**config, "base_model_name_or_path": path}))
        return tmp_path / "adapter"

    assert prepare(named("../base"), pooling="mean").plan.records[0] == "base base"
    with pytest.raises(ExportError, match="/nowhere/base: there is no such folder"):
        prepare(named("/nowhere/base"))
    with pytest.raises(ExportError, match=r"names no base_model_name_or_path; export the base model, with the adapter"):
        prepare(named(None))
    file.write_text("{")
    with pytest.raises(ExportError, match=r"adapter_config.json cannot be read"):
        prepare(tmp_path / "adapter")


@pytest.mark.parametrize("layers", slow.but([1], [None, 1]))
def test_an_adapter_inside_a_sentence_transformers_folder(layers: int | None, tmp_path: Path) -> None:
    """As sentence-transformers saves it: the modules, and an adapter in the place of the weights."""
    _, tokenizer = base("bert", tmp_path / "base", **BERT)
    modules = [Transformer(str(tmp_path / "base")), Pooling(60, pooling_mode="cls"), Normalize()]
    SentenceTransformer(modules=modules, device="cpu").save(str(tmp_path / "tuned"))
    tuned = trained(transformers.AutoModel.from_pretrained(tmp_path / "base"), target_modules=["query", "dense"])
    tuned.save_pretrained(tmp_path / "tuned")
    for name in ("model.safetensors", "config.json"):
        (tmp_path / "tuned" / name).unlink()
    before = sorted(tmp_path.rglob("*"))
    recipe = Recipe(surgery=Surgery(layers=layers)) if layers else None
    plan = prepare(tmp_path / "tuned", recipe=recipe).plan
    assert sorted(tmp_path.rglob("*")) == before
    encoder = systems.export(tmp_path / "tuned", recipe, tmp_path)
    expected = alone(tuned, tokenizer, "first", layers or -1)
    agree(encoder, TEXTS, torch.nn.functional.normalize(expected, dim=1))
    assert plan.graphs["default"].dense.normalized


@pytest.mark.slow
def test_a_base_that_is_a_sentence_transformers_folder_gives_its_modules(tmp_path: Path) -> None:
    _, tokenizer = base("distilbert", tmp_path / "plain", hidden=60, n_heads=5)
    modules = [Transformer(str(tmp_path / "plain")), Pooling(60, pooling_mode="max"), Normalize()]
    SentenceTransformer(modules=modules, device="cpu").save(str(tmp_path / "base"))
    tuned = trained(transformers.AutoModel.from_pretrained(tmp_path / "base"), target_modules=["q_lin", "lin1"])
    tuned.save_pretrained(tmp_path / "adapter")
    prepared = prepare(tmp_path / "adapter")
    assert prepared.inferred.stated
    assert [pool.mode for pool in prepared.plan.graphs["default"].module.pools] == ["max"]
    found = torch.stack([prepared.origin.model.encode(text, convert_to_tensor=True) for text in TEXTS])
    with torch.no_grad():
        states = [tuned(**tokenizer(text, truncation=True, return_tensors="pt")) for text in TEXTS]
    expected = torch.stack([state.last_hidden_state[0].amax(0) for state in states])
    torch.testing.assert_close(found, torch.nn.functional.normalize(expected, dim=1), rtol=1e-4, atol=1e-4)


def test_a_live_adapter_is_merged_in_the_copy(tmp_path: Path) -> None:
    model, tokenizer = models.make("bert", layers=2, **BERT)
    tuned = trained(model, target_modules=["query", "dense"], modules_to_save=["LayerNorm"])
    expected = alone(tuned, tokenizer)
    encoder = systems.export((tuned, tokenizer), Recipe(), tmp_path)
    agree(encoder, TEXTS, expected)
    assert any("lora_" in name for name in tuned.state_dict())
    prepared = prepare((tuned, tokenizer))
    assert type(prepared.origin.backbone) is transformers.BertModel
    assert not any("lora_" in name for name in prepared.origin.backbone.state_dict())
    assert prepared.plan.records[0].startswith("merged the live adapter")
