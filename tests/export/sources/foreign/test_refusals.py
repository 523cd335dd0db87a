"""One sentence with the next step for each folder that cannot be read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import transformers

from embedkit.errors import ExportError
from embedkit_export.sources.load import load
from helpers import models


def changed(folder: Path, **changes: Any) -> Path:
    file = folder / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))
    return folder


def refused(folder: Path, *words: str) -> None:
    with pytest.raises(ExportError) as caught:
        load(folder)
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return models.save("bert", tmp_path / "model")


@pytest.mark.parametrize("method", ["gptq", "awq", "fp8", "compressed-tensors", None])
def test_weights_that_were_rounded(method: str | None, folder: Path) -> None:
    stored = {"load_in_4bit": True} if method is None else {"quant_method": method, "bits": 4}
    refused(
        changed(folder, quantization_config=stored),
        str(folder),
        method or "bitsandbytes",
        "original checkpoint",
        "--variants",
    )


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ("onnx/model.onnx", ("only an ONNX graph", "PyTorch checkpoint")),
        ("tf_model.h5", ("only TensorFlow weights", "from_tf=True")),
        ("flax_model.msgpack", ("only Flax weights",)),
        ("model.Q4_K_M.gguf", ("give the .gguf file",)),
        ("training_args.bin", ("there are no weights beside config.json", "model.safetensors")),
    ],
)
def test_weights_of_others(other: str, words: tuple[str, ...], folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / other).parent.mkdir(exist_ok=True)
    (folder / other).write_bytes(b"not read")
    refused(folder, str(folder), *words)


def test_another_architecture(folder: Path) -> None:
    changed(folder, model_type="qwen9", architectures=["Qwen9Model"], transformers_version="9.1.0")
    refused(folder, transformers.__version__, "'qwen9'", "saved by 9.1.0", "install a newer transformers")
    changed(folder, auto_map={"AutoModel": "modeling.Model", "AutoConfig": "configuration.Config"})
    refused(folder, "code of its own", "--trust-remote-code")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"auto_map": {"AutoModel": "jinaai/xlm-roberta-flash-implementation--modeling_lora.XLMRobertaLoRA"}},
            ("XLMRobertaLoRA", "jinaai/jina-embeddings-v3-hf"),
        ),
        (
            {"model_type": "nvembed", "architectures": ["NVEmbedModel"], "auto_map": {"AutoModel": "modeling_nvembed.NVEmbedModel"}},
            ("NVEmbedModel", 'select = "embedding_model."', "latent_attention", "causal = false"),
        ),
    ],
)  # fmt: skip
def test_code_that_a_recipe_or_another_folder_takes_the_place_of(
    changes: dict[str, Any], words: tuple[str, ...], folder: Path
) -> None:
    refused(changed(folder, **changes), *words)


def test_an_error_of_a_class_that_was_taken_for_own_code_names_that_code(folder: Path) -> None:
    """As of jina's BERT, whose configuration has a word that transformers' own class does not take."""
    auto = {"AutoConfig": "configuration_bert.JinaBertConfig", "AutoModel": "modeling_bert.JinaBertModel"}
    changed(folder, auto_map=auto, attn_implementation="torch")
    refused(folder, "attn_implementation", "read it, then pass --trust-remote-code")


def test_series_of_numbers(tmp_path: Path) -> None:
    config = transformers.PatchTSTConfig(d_model=16, num_hidden_layers=1, num_attention_heads=2, ffn_dim=16)
    transformers.PatchTSTModel(config).save_pretrained(tmp_path / "series")
    (tmp_path / "series" / "preprocessor_config.json").write_text("{}")
    refused(tmp_path / "series", "'patchtst'", "reads neither texts nor pictures alone", "give the encoder of texts")


@pytest.mark.parametrize("module", ["WordEmbeddings", "BoW"])
def test_words_of_python_code(module: str, tmp_path: Path) -> None:
    modules = [{"idx": 0, "name": "0", "path": f"0_{module}", "type": f"sentence_transformers.models.{module}"}]
    (tmp_path / "modules.json").write_text(json.dumps(modules))
    refused(tmp_path, module, "tokenizer.json", "StaticEmbedding")
