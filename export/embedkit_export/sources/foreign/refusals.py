"""Folders that cannot be read, each told in one sentence with what to do next."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from embedkit.errors import ExportError
from embedkit_export.sources import folders

from .settings import check_settings

_NO_WEIGHTS = ("training_args.bin", "optimizer.bin", "scheduler.bin")
_OTHERS = {
    "*.onnx": ("an ONNX graph", "give the folder of the PyTorch checkpoint that it was made from"),
    "*.h5": (
        "TensorFlow weights",
        "save them as PyTorch weights with transformers 4 (from_tf=True, then save_pretrained)",
    ),
    "*.msgpack": (
        "Flax weights",
        "save them as PyTorch weights with transformers 4 (from_flax=True, then save_pretrained)",
    ),
    "*.gguf": ("GGUF weights", "give the .gguf file itself"),
    "openvino_model*.xml": ("an OpenVINO graph", "give the folder of the PyTorch checkpoint that it was made from"),
}
_OWN_CODE = {
    "NVEmbedModel": (
        "NV-Embed's decoder is Mistral's, and what is around it has to be said by a recipe: "
        'causal = false, [surgery] select = "embedding_model.", pooling = {mode = "mean", without = ["prefix"]}, token_stages = [{kind = '
        '"latent_attention", weights = "checkpoint:latent_attention_model", heads = 8}], stages = [{kind = "normalize"}], '
        '[roles.query] template = "Instruct: ...\\nQuery: {text}</s>" and [roles.document] template = "{text}</s>"'
    ),
    "LUAR": (
        "it makes one vector of an episode of several texts, between which it attends, and a bundle reads each text by itself. Of an "
        "episode of one text it gives the mean of its transformer's tokens behind the layer linear: save these with sentence-transformers "
        "as Transformer, Pooling (mean) and Dense, and give that folder"
    ),
    "XLMRobertaLoRA": (
        "its weights have an adapter for each task inside, which its own code chooses: give jinaai/jina-embeddings-v3-hf, the same model "
        "as transformers reads it, with the adapter of a task merged into it by peft (load_adapter, then merge_and_unload)"
    ),
}
"""By the class that config.json names: models that are taken apart by a recipe, or stand elsewhere in a form that is read."""
_OWN_WORDS = ("WordEmbeddings", "BoW", "WordWeights")


def check_readable(folder: Path, name: Path, *, code: bool, surgery: bool) -> None:
    """Raise `ExportError`, which names the folder ``name``, where no library can make a text encoder of ``folder``. ``code``
    tells whether code that it brings will be run, ``surgery`` whether its weights are to be read from elsewhere."""
    modules = _json(folder / folders.MODULES)
    kinds = [str(entry.get("type", "")).rpartition(".")[2] for entry in modules] if isinstance(modules, list) else []
    _check_modules(kinds)
    if kinds[:1] == ["StaticEmbedding"]:
        return
    inner = folders.transformer(folder)
    config = _json(inner / folders.MODEL)
    if not isinstance(config, dict) or not (config.get("model_type") or config.get("architectures")):
        return
    check_settings(folder, name)
    _check_quantised(name, config)
    if not code and not surgery:
        _check_own_code(name, config)
    _check_architecture(name, config, code=code)
    if (inner / folders.ADAPTER).is_file() or surgery:
        return
    _check_weights(inner, name)
    _check_text(inner, name, config)


def _check_modules(kinds: list[str]) -> None:
    for name in kinds:
        if name in _OWN_WORDS:
            raise ExportError(
                f"modules: cannot export the module {name}: it splits texts into words by Python code of its own, and encoding without "
                "torch needs a tokenizer.json; train or distil a StaticEmbedding, which has one"
            )


def _check_quantised(name: Path, config: dict[str, Any]) -> None:
    stored = config.get("quantization_config")
    if not isinstance(stored, dict):
        return
    method = stored.get("quant_method") or ("bitsandbytes" if any("load_in" in key for key in stored) else "a library")
    raise ExportError(
        f"{name}: its weights were rounded by {method} (quantization_config), which an export cannot undo: give the original "
        "checkpoint, and choose a precision with --variants (int8, w8, w4)"
    )


def _check_own_code(name: Path, config: dict[str, Any]) -> None:
    auto = config.get("auto_map") or {}
    named = {*(config.get("architectures") or ()), *(str(value).rpartition(".")[2] for value in auto.values())}
    for kind, advice in _OWN_CODE.items():
        if kind in named:
            raise ExportError(f"{name}: {kind} is code of the model's own, and is not run: {advice}")


def _check_architecture(name: Path, config: dict[str, Any], *, code: bool) -> None:
    import transformers
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    kind = config.get("model_type")
    if not kind or kind in CONFIG_MAPPING:
        return
    if config.get("auto_map"):
        if code:
            return
        raise ExportError(
            f"{name}: the architecture {kind!r} is none of transformers, and comes with code of its own: read it, then pass "
            "--trust-remote-code"
        )
    written = config.get("transformers_version")
    newer = f" (the model was saved by {written})" if written else ""
    raise ExportError(
        f"{name}: transformers {transformers.__version__} does not know the architecture {kind!r}{newer}: install a newer transformers, "
        "or give a live model and its tokenizer: export((model, tokenizer), ...)"
    )


def _check_weights(folder: Path, name: Path) -> None:
    if any(file.suffix in (".safetensors", ".bin") and file.name not in _NO_WEIGHTS for file in folder.iterdir()):
        return
    if any(file.name.endswith((".safetensors.index.json", ".bin.index.json")) for file in folder.iterdir()):
        return  # transformers names the part that is not there
    for pattern, (what, advice) in _OTHERS.items():
        if next(folder.rglob(pattern), None) is not None:
            raise ExportError(f"{name}: there are no PyTorch weights, only {what}: {advice}")
    raise ExportError(
        f"{name}: there are no weights beside config.json: put model.safetensors or pytorch_model.bin there (of a git checkout: "
        "git lfs pull)"
    )


def _check_text(folder: Path, name: Path, config: dict[str, Any]) -> None:
    if any(next(folder.glob(pattern), None) is not None for pattern in folders.TOKENIZERS):
        return
    if folders.reads_pictures_alone(folder) or folders.reads_sounds_alone(folder):
        return
    prepares = [name for name in ("preprocessor_config.json", "processor_config.json") if (folder / name).is_file()]
    if prepares:
        raise ExportError(
            f"{name}: a model of the architecture {config.get('model_type')!r} with {prepares[0]} and no tokenizer reads neither "
            "texts nor pictures alone: give the encoder of texts or of pictures that belongs to it"
        )


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
