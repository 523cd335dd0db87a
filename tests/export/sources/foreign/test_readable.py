"""Folders in other words: first-generation modules, model2vec, and an encoder with code of its own that transformers has too."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sentence_transformers as st
import torch
import transformers
from safetensors.torch import save_file

import embedkit_export
from embedkit_export.sources.foreign.readable import readable
from embedkit_export.sources.load import load
from embedkit_export.sources.source import Loading
from helpers import models
from helpers.rerankers import planned
from helpers.systems import TEXTS, export

PAIRS = [(TEXTS[i], TEXTS[3 - i]) for i in range(4)]


def edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def first_generation(folder: Path, module: str = "BERT") -> Path:
    """As sentence-transformers 0.2 saved it: a class for each architecture, and its version in config.json."""
    models.save("bert", folder / f"0_{module}")
    (folder / f"0_{module}" / "sentence_bert_config.json").write_text('{"max_seq_length": 32, "do_lower_case": false}')
    (folder / "1_Pooling").mkdir()
    modes = {"cls_token": False, "mean_tokens": True, "max_tokens": False, "mean_sqrt_len_tokens": False}
    pooling = {"word_embedding_dimension": 64, **{f"pooling_mode_{mode}": on for mode, on in modes.items()}}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    names = [(f"0_{module}", module), ("1_Pooling", "Pooling")]
    modules = [
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for i, (path, kind) in enumerate(names)
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "config.json").write_text('{"__version__": "0.2.0"}')
    return folder


@pytest.mark.parametrize("module", ["BERT", "RoBERTa", "XLMRoBERTa"])
def test_modules_of_the_first_generation(module: str, tmp_path: Path) -> None:
    folder = first_generation(tmp_path / "old", module)
    before = {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    source = load(folder)
    assert any("early sentence-transformers" in record for record in source.records)
    assert source.folder == folder
    parts = [
        st.base.modules.Transformer(str(folder / f"0_{module}"), max_seq_length=32),
        st.sentence_transformer.modules.Pooling(64, pooling_mode="mean"),
    ]
    expected = st.SentenceTransformer(modules=parts, device="cpu").encode(TEXTS)
    assert np.abs(source.model.encode(TEXTS) - expected).max() < 1e-6
    assert {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()} == before
    assert "at most 32 tokens" in embedkit_export.prepare(folder).text()


@pytest.mark.parametrize("normalize", [True, False])
def test_a_plain_model2vec_folder(normalize: bool, tmp_path: Path) -> None:
    folder = tmp_path / "model2vec"
    folder.mkdir()
    tokenizer = models.make_tokenizer("word")
    tokenizer.backend_tokenizer.save(str(folder / "tokenizer.json"))
    table = torch.randn(len(tokenizer), 16, generator=torch.Generator().manual_seed(0))
    save_file({"embeddings": table}, folder / "model.safetensors")
    config = {"model_type": "model2vec", "architectures": ["StaticModel"], "normalize": normalize, "hidden_dim": 16}
    (folder / "config.json").write_text(json.dumps(config))
    encoder = export(str(folder), None, tmp_path / "out")
    rows = [table[tokenizer(text, add_special_tokens=False)["input_ids"]].mean(dim=0) for text in TEXTS]
    expected = torch.stack(rows)
    expected = torch.nn.functional.normalize(expected, dim=-1) if normalize else expected
    assert np.abs(encoder.encode(TEXTS) - expected.numpy()).max() < 1e-5


def gte(folder: Path, head: str, **config: Any) -> tuple[Path, Any]:
    """A folder as Alibaba's NewModel is saved, and the model of transformers whose weights it holds."""
    made = transformers.GteConfig(
        vocab_size=290, hidden_size=64, num_hidden_layers=2, num_attention_heads=4, intermediate_size=96, num_labels=1,
        max_position_embeddings=64, rope_parameters=config.pop("rope", {"rope_type": "default", "rope_theta": 20000.0}),
    )  # fmt: skip
    torch.manual_seed(0)
    model = getattr(transformers, f"Gte{head or 'Model'}")(made).eval()
    models.widen(model)
    model.save_pretrained(folder)
    models.make_tokenizer("word").save_pretrained(folder)
    own = json.loads((folder / "config.json").read_text())
    del own["rope_parameters"]
    auto = {"AutoConfig": "configuration.NewConfig", "AutoModel": "modeling.NewModel"}
    own |= {"model_type": "new", "architectures": [f"New{head or 'Model'}"], "auto_map": auto, "rope_theta": 20000.0}
    own |= {"position_embedding_type": "rope", "layer_norm_type": "layer_norm", "pack_qkv": True, **config}
    (folder / "config.json").write_text(json.dumps(own))
    return folder, model


@pytest.mark.parametrize(
    ("scaling", "rope"),
    [
        (None, {"rope_type": "default", "rope_theta": 20000.0}),
        ({"type": "ntk", "factor": 8.0}, {"rope_type": "linear", "rope_theta": 160000.0, "factor": 8.0 ** (2 / 16)}),
    ],
)
def test_the_weights_of_code_that_transformers_has_too(scaling: Any, rope: Any, tmp_path: Path) -> None:
    folder, model = gte(tmp_path / "gte", "", rope=rope, rope_scaling=scaling)
    source = load(folder)
    assert type(source.backbone).__name__ == "GteModel"
    assert any("NewModel, whose own code was left out" in record for record in source.records)
    ids = torch.arange(5, 25)[None]
    with torch.no_grad():
        found, expected = (part(input_ids=ids).last_hidden_state for part in (source.backbone, model))
    assert (found - expected).abs().max() < 1e-5


def test_the_angles_of_ntk_are_those_of_its_code() -> None:
    theta, factor, size = 20000.0, 8.0, 16
    own = 1.0 / ((theta * factor) ** (torch.arange(0, size, 2).float() / size)) / factor ** (2 / size)
    rope = {"rope_type": "linear", "rope_theta": theta * factor, "factor": factor ** (2 / size)}
    config = transformers.GteConfig(
        vocab_size=50,
        hidden_size=64,
        num_hidden_layers=1,
        num_attention_heads=4,
        intermediate_size=96,
        rope_parameters=rope,
    )
    buffers = dict(transformers.GteModel(config).named_buffers())
    found = next(buffer for name, buffer in buffers.items() if name.endswith("rotary_emb.inv_freq"))
    assert torch.allclose(found, own, rtol=1e-5)


NOMIC = {
    "model_type": "nomic_bert", "architectures": ["NomicBertModel"], "n_embd": 64, "n_layer": 2, "n_head": 4, "n_inner": 96,
    "activation_function": "swiglu", "rotary_emb_base": 1000, "rotary_emb_fraction": 1.0, "rotary_emb_interleaved": False,
    "rotary_emb_scale_base": None, "rotary_scaling_factor": None, "layer_norm_epsilon": 1e-12, "n_positions": 8192, "vocab_size": 290,
    "type_vocab_size": 2, "prenorm": False, "qkv_proj_bias": False, "mlp_fc1_bias": False, "mlp_fc2_bias": False, "pad_token_id": 0,
    "auto_map": {"AutoConfig": "nomic-ai/nomic-bert-2048--configuration_hf_nomic_bert.NomicBertConfig"},
}  # fmt: skip


@pytest.mark.parametrize("code", [True, False])
def test_the_words_of_nomics_configuration(code: bool, tmp_path: Path) -> None:
    config = transformers.NomicBertConfig(
        vocab_size=290, hidden_size=64, num_hidden_layers=2, num_attention_heads=4, intermediate_size=96, pad_token_id=0,
        rope_parameters={"rope_type": "default", "rope_theta": 1000.0},
    )  # fmt: skip
    torch.manual_seed(0)
    model = transformers.NomicBertModel(config).eval()
    models.widen(model)
    model.save_pretrained(tmp_path / "nomic")
    models.make_tokenizer("word").save_pretrained(tmp_path / "nomic")
    (tmp_path / "nomic" / "config.json").write_text(json.dumps(NOMIC))
    source = load(tmp_path / "nomic", Loading(trust_remote_code=code))
    ids = torch.arange(5, 40)[None]
    with torch.no_grad():
        found, expected = (part(input_ids=ids).last_hidden_state for part in (source.backbone, model))
    assert (found - expected).abs().max() < 1e-5
    assert source.backbone.config.max_position_embeddings == 8192
    edit(tmp_path / "nomic" / "config.json", num_experts=8, moe_top_k=2)
    with readable(tmp_path / "nomic") as (same, records):
        assert (same, records) == (tmp_path / "nomic", [])


@pytest.mark.parametrize("head", ["ForSequenceClassification"])
def test_a_reranker_with_code_of_its_own(head: str, tmp_path: Path) -> None:
    folder, model = gte(tmp_path / "gte", head)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    with torch.no_grad():
        logits = [
            model(**tokenizer([a], [b], return_tensors="pt", return_token_type_ids=False)).logits for a, b in PAIRS
        ]
    found = planned(folder, tmp_path / "plan", PAIRS, kind="reranker")
    assert np.abs(found - torch.cat(logits).sigmoid().numpy()).max() < 1e-5


def test_what_the_class_of_transformers_has_not_keeps_its_own_code(tmp_path: Path) -> None:
    folder, _ = gte(tmp_path / "gte", "", logn_attention_scale=True)
    with readable(folder) as (found, records):
        assert (found, records) == (folder, [])


def test_a_model_behind_a_router_is_put_into_todays_words(tmp_path: Path) -> None:
    gte(tmp_path / "model" / "document_0_MLMTransformer", "ForMaskedLM")
    (tmp_path / "model" / "modules.json").write_text("[]")
    with readable(tmp_path / "model") as (found, records):
        config = json.loads((found / "document_0_MLMTransformer" / "config.json").read_text())
        assert (config["model_type"], config["architectures"]) == ("gte", ["GteForMaskedLM"])
        assert len(records) == 1


QWEN = {
    "architectures": ["Qwen2ForCausalLM"],
    "auto_map": {"AutoModel": "modeling_qwen.Qwen2Model", "AutoModelForCausalLM": "modeling_qwen.Qwen2ForCausalLM"},
}


@pytest.mark.parametrize("named", ["modeling_qwen.Qwen2Model", "Alibaba-NLP/gte-Qwen2--modeling_qwen.Qwen2Model"])
@pytest.mark.parametrize("code", [True, False])
def test_a_decoder_whose_own_code_sees_both_ways(code: bool, named: str, tmp_path: Path) -> None:
    """gte-Qwen2 and stella: a class of transformers has the same weights, and would see backwards alone."""
    folder = models.save("qwen2", tmp_path / "qwen", layers=1)
    causal = load(folder).backbone
    edit(folder / "config.json", **{**QWEN, "auto_map": {**QWEN["auto_map"], "AutoModel": named}})
    source = load(folder, Loading(trust_remote_code=code))
    assert any("without its causal mask" in record for record in source.records)
    ids = torch.tensor([[7, 8, 9, 10]])
    later = torch.tensor([[7, 8, 9, 50]])
    with torch.no_grad():
        first = [
            model(input_ids=row, attention_mask=torch.ones_like(row)).last_hidden_state[0, 0]
            for model in (source.backbone, causal)
            for row in (ids, later)
        ]
    assert (first[0] - first[1]).abs().max() > 1e-3, "a later token alters the first one's vector"
    assert torch.equal(first[2], first[3])
    live = transformers.Qwen2Model.from_pretrained(folder, config=causal.config, attn_implementation="eager")
    seen = torch.zeros(1, 1, 4, 4)  # a mask that hides nothing
    with torch.no_grad():
        expected = live(input_ids=ids, attention_mask=seen).last_hidden_state
        found = source.backbone(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state
    assert (found - expected).abs().max() < 1e-5


def test_another_decoder_with_code_of_its_own_stays_as_it_is(tmp_path: Path) -> None:
    folder = models.save("qwen2", tmp_path / "qwen", layers=1)
    edit(folder / "config.json", auto_map={"AutoModel": "modeling_ours.OurModel"})
    with readable(folder) as (found, records):
        assert (found, records) == (folder, [])
