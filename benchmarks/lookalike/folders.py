"""A look-alike's folder: config.json and tokenizer as published, modules, and small random weights."""

from __future__ import annotations

import json
import shutil
import tempfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors.torch import load_file, save_file

from .descriptions import Look
from .families import FAMILIES
from .vocabularies import vocabulary

OWN_CODE = Path(__file__).parent / "own_code"


def make(look: Look, folder: Path) -> Path:
    """Write the look-alike's folder, named as the model is."""
    target = folder / look.name
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    torch.manual_seed(
        zlib.crc32(f"{look.family} {look.vocabulary} {look.head}".encode())
    )  # equal graphs are captured once
    for name, content in look.files.items():
        path = target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content, indent=1), encoding="utf-8")
    style, begins, config = FAMILIES.get(look.family, ("bert", "", {}))
    words = vocabulary(look.vocabulary or style)
    count = words.tokenizer.get_vocab_size()
    for name, sizes in look.layers.items():
        made = {key: [count if part == "V" else part for part in size] for key, size in sizes.items()}
        _save(target / name, {key: torch.randn(size) / max(size[-1], 16) ** 0.5 for key, size in made.items()})
    for name, sizes in look.pickles.items():
        torch.save({key: torch.randn(size) / max(size[-1], 16) ** 0.5 for key, size in sizes.items()}, target / name)
    for name in look.words_in:
        words.save(target / name, **look.tokens)
    if look.family in _OTHERS:
        _OTHERS[look.family](look, target)
    elif look.family:
        inner = target / look.inner
        words.save(inner, **look.tokens)
        _backbone(look, inner, begins, {**config, "vocab_size": count, **look.config})
    return target


def twin(look: Look, folder: Path) -> Path:
    """A copy of the look-alike's folder that a class of transformers reads."""
    made = folder.parent / f"{folder.name}-twin"
    shutil.rmtree(made, ignore_errors=True)
    shutil.copytree(folder, made)
    _twin_config(look, made / look.inner)
    return made


def _twin_config(look: Look, folder: Path) -> None:
    path = folder / "config.json"
    told = json.loads(path.read_text())
    gone = ("auto_map", "rope_theta", "rope_scaling", "position_embedding_type")
    path.write_text(json.dumps({**{key: value for key, value in told.items() if key not in gone}, **look.twin}))


def _backbone(look: Look, target: Path, begins: str, settings: dict[str, Any]) -> None:
    own = settings.pop("architectures_", "")
    head = look.head if hasattr(transformers, begins + look.head) else "Model"
    settings.setdefault("architectures", [begins + (own or head)])
    if begins == "Gte":
        settings["architectures"] = [name.replace("Gte", "New") for name in settings["architectures"]]
    for file in look.code:
        shutil.copy(OWN_CODE / file, target / Path(file).name)
    (target / "config.json").write_text(json.dumps(settings, indent=1))
    state = _weights(look, target, begins + head)
    if settings.get("torch_dtype") in ("float16", "bfloat16"):
        precision = getattr(torch, settings["torch_dtype"])
        state = {name: value.to(precision) for name, value in state.items()}
    state = {look.prefix + name: value for name, value in state.items()}
    state |= {name: torch.randn(size) / size[-1] ** 0.5 for name, size in look.extra.items()}
    if look.pickled:
        torch.save(state, target / "pytorch_model.bin")
    else:
        _save(target / "model.safetensors", state)


def _weights(look: Look, target: Path, name: str) -> dict[str, torch.Tensor]:
    """Random weights of the model by the names that its checkpoint has."""
    with tempfile.TemporaryDirectory() as made:
        shutil.copytree(target, made, dirs_exist_ok=True)
        if look.code:
            config = transformers.AutoConfig.from_pretrained(made, trust_remote_code=True)
            kind = getattr(transformers, "AutoModel" + look.head.removeprefix("Model"))
            model = kind.from_config(config, trust_remote_code=True).eval()
            widen(model)
            return {name: value.clone() for name, value in model.state_dict().items()}
        if look.twin:
            _twin_config(look, Path(made))
        kind = getattr(transformers, name)
        model = kind(kind.config_class.from_pretrained(made)).eval()
        widen(model)
        model.save_pretrained(Path(made) / "weights")
        state = {}
        for file in (Path(made) / "weights").glob("*.safetensors"):
            state |= load_file(file)
        return state


def _save(path: Path, state: Mapping[str, torch.Tensor]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: value.contiguous() for name, value in state.items()}, path, metadata={"format": "pt"})


def widen(model: torch.nn.Module) -> None:
    """Random weights are tiny, which makes all vectors alike: widen them, so that a difference shows."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim == 2:
                parameter.mul_(1.0 if type(model).__name__.startswith("T5") else 3.0)
            elif name.endswith("bias"):
                parameter.normal_(0, 0.05)
            elif "norm" in name.lower():
                parameter.add_(torch.randn_like(parameter) * 0.1)


def _static(look: Look, target: Path) -> None:
    """A table of tokens' vectors in the folder itself (model2vec's form)."""
    words = vocabulary(look.vocabulary or "bert")
    words.tokenizer.save(str(target / "tokenizer.json"))
    _save(target / "model.safetensors", {"embeddings": torch.randn(words.tokenizer.get_vocab_size(), 32)})
    if look.config:
        (target / "config.json").write_text(json.dumps(look.config))


def _static_module(look: Look, target: Path) -> None:
    """A table of tokens' vectors in a module's folder."""
    words = vocabulary(look.vocabulary or "bert")
    (target / "0_StaticEmbedding").mkdir()
    words.tokenizer.save(str(target / "0_StaticEmbedding" / "tokenizer.json"))
    table = torch.randn(words.tokenizer.get_vocab_size(), 32)
    _save(target / "0_StaticEmbedding" / "model.safetensors", {"embedding.weight": table})


def _clip(look: Look, target: Path) -> None:
    """Both towers of CLIP in the folder of a module of their own."""
    words = vocabulary("clip")
    inner = target / "0_CLIPModel"
    words.save(inner)
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 2, "num_hidden_layers": 1}
    text = {**sizes, "vocab_size": words.tokenizer.get_vocab_size(), "projection_dim": 32}
    config = transformers.CLIPConfig(text_config=text, vision_config={**sizes, "projection_dim": 32}, projection_dim=32)
    transformers.CLIPModel(config).save_pretrained(inner)
    (inner / "preprocessor_config.json").write_text(
        json.dumps(
            {
                "image_processor_type": "CLIPImageProcessor",
                "feature_extractor_type": "CLIPFeatureExtractor",
                "size": 224,
            }
        )
    )


_OTHERS = {"clip-module": _clip, "static": _static, "static-module": _static_module}
