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
    torch.manual_seed(zlib.crc32(look.name.encode()))
    for name, content in look.files.items():
        path = target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content, indent=1), encoding="utf-8")
    for name, sizes in look.layers.items():
        _save(target / name, {key: torch.randn(size) / max(size[-1], 16) ** 0.5 for key, size in sizes.items()})
    if look.family in _OTHERS:
        _OTHERS[look.family](look, target)
    elif look.family:
        style, begins, config = FAMILIES[look.family]
        words = vocabulary(look.vocabulary or style)
        words.save(target, **look.tokens)
        settings = {**config, "vocab_size": words.tokenizer.get_vocab_size(), **look.config}
        _backbone(look, target, begins, settings)
    return target


def _backbone(look: Look, target: Path, begins: str, settings: dict[str, Any]) -> None:
    own = settings.pop("architectures_", "")
    head = look.head if hasattr(transformers, begins + look.head) else "Model"
    kind = getattr(transformers, begins + head)
    settings.setdefault("architectures", [begins + (own or head)])
    if begins == "Gte":
        settings["architectures"] = [name.replace("Gte", "New") for name in settings["architectures"]]
    for file in look.code:
        shutil.copy(OWN_CODE / file, target / Path(file).name)
    (target / "config.json").write_text(json.dumps(settings, indent=1))
    model = kind(_config(kind, target, settings)).eval()
    widen(model)
    if settings.get("torch_dtype") in ("float16", "bfloat16"):
        model = model.to(getattr(torch, settings["torch_dtype"]))
    with tempfile.TemporaryDirectory() as made:
        model.save_pretrained(made)
        state = {}
        for file in Path(made).glob("*.safetensors"):
            state |= load_file(file)
    state = {look.prefix + name: value for name, value in state.items()}
    state |= {name: torch.randn(size) / size[-1] ** 0.5 for name, size in look.extra.items()}
    if look.pickled:
        torch.save(state, target / "pytorch_model.bin")
    else:
        _save(target / "model.safetensors", state)


def _config(kind: Any, target: Path, settings: dict[str, Any]) -> Any:
    """The configuration of a class of transformers; words of the model's own code are put as transformers has them."""
    from embedkit_export.sources.foreign.readable import readable

    with readable(target) as (folder, _):
        known = kind.config_class
        return known.from_pretrained(folder)


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


_OTHERS = {"static": _static, "static-module": _static_module}
