"""A folder in a form that today's libraries read: other words for the same weights, written into a copy whose files are links."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from embedkit_export.sources import folders

_FIRST_GENERATION = ("BERT", "RoBERTa", "DistilBERT", "ALBERT", "CamemBERT", "XLMRoBERTa", "XLNet", "T5")
"""Modules of sentence-transformers before 0.3, which are all its Transformer now."""
_NEW = {"NewModel": "GteModel"} | {
    f"NewFor{task}": f"GteFor{task}" for task in ("MaskedLM", "SequenceClassification", "TokenClassification")
}
"""Classes in the code of Alibaba's encoders, and those of transformers that read their weights."""

Changes = dict[Path, Any]
"""What JSON files of a folder hold in the copy, by their places in it."""


@contextmanager
def readable(folder: Path) -> Iterator[tuple[Path, list[str]]]:
    """The folder, or for as long as the context lasts a copy of it in today's words, and records of what was changed."""
    changes: Changes = {}
    records: list[str] = []
    for change in (_modules, _model2vec):
        found, record = change(folder)
        changes |= found
        records += [record] if found else []
    for inner in _transformers(folder):
        config = _json(inner / folders.MODEL)
        for words in (_new_model, _nomic, _both_ways, _nv_embed) if isinstance(config, dict) else ():
            changed, record = words(config)
            if changed:
                changes[(inner / folders.MODEL).relative_to(folder)] = changed
                records.append(record)
    if not changes:
        yield folder, []
        return
    with tempfile.TemporaryDirectory(prefix="embedkit-readable-") as made:
        target = Path(made) / folder.resolve().name
        for file in folder.rglob("*"):
            place = target / file.relative_to(folder)
            if file.is_file():
                place.parent.mkdir(parents=True, exist_ok=True)
                place.symlink_to(file.resolve())
        for name, content in changes.items():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            (target / name).unlink(missing_ok=True)
            (target / name).write_text(json.dumps(content), encoding="utf-8")
        yield target, records


def _modules(folder: Path) -> tuple[Changes, str]:
    """Modules that had a class for each architecture."""
    given = _json(folder / folders.MODULES)
    if not isinstance(given, list):
        return {}, ""
    old = [entry for entry in given if str(entry.get("type", "")).rpartition(".")[2] in _FIRST_GENERATION]
    old = [entry for entry in old if str(entry["type"]).startswith("sentence_transformers.")]
    if not old:
        return {}, ""
    named = ", ".join(str(entry["type"]).rpartition(".")[2] for entry in old)
    for entry in old:
        entry["type"] = "sentence_transformers.models.Transformer"
    return {
        Path(folders.MODULES): given
    }, f"the module {named} of an early sentence-transformers was read as Transformer"


def _model2vec(folder: Path) -> tuple[Changes, str]:
    """A model2vec folder without modules, as those that have some."""
    config = _json(folder / folders.MODEL)
    if not isinstance(config, dict) or config.get("model_type") != "model2vec" or (folder / folders.MODULES).is_file():
        return {}, ""
    library = "sentence_transformers.models"
    names = ["StaticEmbedding", *(["Normalize"] if config.get("normalize") else [])]
    modules = [
        {"idx": i, "name": str(i), "path": f"{i}_{name}" if i else ".", "type": f"{library}.{name}"}
        for i, name in enumerate(names)
    ]
    changes: Changes = {Path(folders.MODULES): modules}
    return changes, f"model2vec's table was read as {', '.join(names)} of sentence-transformers"


def _transformers(folder: Path) -> list[Path]:
    """The folders of transformers models: itself, or its modules' (of a Router several)."""
    inner = [file.parent for file in sorted(folder.glob(f"*/{folders.MODEL}"))]
    weights = ("*.safetensors", "*.bin", "*.index.json")
    own = [place for place in inner if any(next(place.glob(pattern), None) for pattern in weights)]
    return list(dict.fromkeys([folders.transformer(folder), *own]))


def _new_model(config: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """Alibaba's encoders, whose own code transformers 5 cannot run, and whose weights a class of transformers reads."""
    if config.get("model_type") != "new" or not _is_plain_new(config):
        return {}, ""
    named = [str(name) for name in config.get("architectures") or ["NewModel"]]
    if any(name not in _NEW for name in named):
        return {}, ""
    changed = {key: value for key, value in config.items() if key not in ("auto_map", "rope_theta", "rope_scaling")}
    changed |= {"model_type": "gte", "architectures": [_NEW[name] for name in named], "rope_parameters": _rope(config)}
    record = f"{', '.join(named)}, whose own code was left out, was read as {', '.join(changed['architectures'])}"
    return changed, f"{record} of transformers"


def _both_ways(config: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """Alibaba's decoders (gte-Qwen2, and stella, which was made of one): their own code, which transformers 5 cannot run,
    differs from transformers' class in that every token sees all others."""
    auto = config.get("auto_map") or {}
    named = str(auto.get("AutoModel", "")).rpartition("--")[2]
    if config.get("model_type") != "qwen2" or named != "modeling_qwen.Qwen2Model":
        return {}, ""
    changed = {key: value for key, value in config.items() if key != "auto_map"} | {"is_causal": False}
    record = "Qwen2Model, whose own code was left out, was read as Qwen2Model of transformers without its causal mask"
    return changed, record


def _nv_embed(config: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """NV-Embed, whose own code transformers 5 cannot run: its decoder is Mistral without the causal mask. The rest is
    for a recipe to say, see `refusals`."""
    inner = config.get("text_config")
    if config.get("model_type") != "nvembed" or not isinstance(inner, dict):
        return {}, ""
    changed = {key: value for key, value in inner.items() if key not in ("_name_or_path", "auto_map")}
    changed |= {"model_type": "mistral", "architectures": ["NVEmbedModel"], "is_causal": False}
    return changed, "the decoder of NVEmbedModel was read as MistralModel of transformers without its causal mask"


_NOMIC = {
    "n_embd": "hidden_size",
    "n_layer": "num_hidden_layers",
    "n_head": "num_attention_heads",
    "n_inner": "intermediate_size",
    "n_positions": "max_position_embeddings",
    "layer_norm_epsilon": "layer_norm_eps",
}
"""Words of nomic's own configuration, and those of transformers' class."""
_NOMIC_PLAIN = {
    "activation_function": "swiglu",
    "rotary_emb_fraction": 1.0,
    "rotary_emb_interleaved": False,
    "rotary_emb_scale_base": None,
    "rotary_scaling_factor": None,
    "prenorm": False,
    "qkv_proj_bias": False,
    "mlp_fc1_bias": False,
    "mlp_fc2_bias": False,
    "use_rms_norm": False,
    "num_experts": 0,
}
"""What transformers' class computes; where one says otherwise it is another model."""


def _nomic(config: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """Nomic's encoders in the words of their own code, whose weights a class of transformers reads."""
    if config.get("model_type") != "nomic_bert" or "n_embd" not in config:
        return {}, ""
    named = str((config.get("architectures") or ["NomicBertModel"])[0])
    usual = all((config.get(key) or None) == (value or None) for key, value in _NOMIC_PLAIN.items() if key in config)
    if named not in ("NomicBertModel", "NomicBertForPreTraining") or not usual:
        return {}, ""
    changed = {key: value for key, value in config.items() if key not in (*_NOMIC, *_NOMIC_PLAIN, "auto_map")}
    changed |= {_NOMIC[key]: config[key] for key in _NOMIC if config.get(key) is not None}
    rope = {"rope_type": "default", "rope_theta": float(config.get("rotary_emb_base", 10000.0))}
    changed |= {"hidden_act": "silu", "architectures": ["NomicBertModel"], "rope_parameters": rope}
    record = f"{named}, whose own code was left out, was read as NomicBertModel of transformers"
    return changed, record


def _is_plain_new(config: dict[str, Any]) -> bool:
    """Whether nothing is switched on that transformers' class has not."""
    scaling = config.get("rope_scaling") or {}
    return (
        config.get("position_embedding_type", "rope") == "rope"
        and config.get("layer_norm_type", "layer_norm") == "layer_norm"
        and config.get("pack_qkv", True)
        and not config.get("logn_attention_scale")
        and (not scaling or (scaling.get("type") == "ntk" and not scaling.get("mixed_b")))
    )


def _rope(config: dict[str, Any]) -> dict[str, Any]:
    """The rotation of positions. Alibaba's ``ntk`` multiplies the base and divides all frequencies by the factor to the
    power of 2 / the size of a head."""
    theta = float(config.get("rope_theta", 10000.0))
    factor = float((config.get("rope_scaling") or {}).get("factor", 1.0))
    if factor <= 1.0:
        return {"rope_type": "default", "rope_theta": theta}
    size = int(config["hidden_size"]) // int(config["num_attention_heads"])
    return {"rope_type": "linear", "rope_theta": theta * factor, "factor": factor ** (2.0 / size)}


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
