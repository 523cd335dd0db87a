"""A model's folder: a path that is there, or what a hub name is fetched into."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from embedkit.errors import ExportError

MODULES, MODEL, ADAPTER = "modules.json", "config.json", "adapter_config.json"
_LATE_INTERACTION = (
    "query_prefix",
    "document_prefix",
    "do_query_expansion",
    "attend_to_expansion_tokens",
    "skiplist_words",
)
"""What PyLate states of its models."""
TOKENIZERS = ("tokenizer*", "vocab*", "*.model", "merges.txt", "added_tokens.json")
"""The files of tokenizers."""
_WANTED = ("*.json", "*.txt", "*.model", "*.safetensors", "*.bin", "*.md")


def find(model: str | os.PathLike[str], *, revision: str | None = None, code: bool = False) -> tuple[Path, list[str]]:
    """The folder (or GGUF file) of a path or of a hub name, which is fetched into the cache, with its ``code`` if that
    will be run; and a record of the revision. Raises `ExportError`."""
    path, given = Path(model), str(model)
    if path.is_file() and path.suffix != ".gguf":
        raise ExportError(f"{path}: expected a model folder, found a file; give the folder that holds config.json")
    if given.strip() and path.exists():
        if path.is_dir() and not _is_model(path):
            raise ExportError(
                f"{path}: no model here: expected {MODULES} (sentence-transformers), {MODEL} (transformers) or {ADAPTER} (peft) in "
                "the folder"
            )
        return path, []
    if given.count("/") > 1 or given.startswith((".", "/", "~")) or not given.strip():
        raise ExportError(f"{path}: there is no such folder")
    from huggingface_hub import snapshot_download

    wanted = [*_WANTED, *(["*.py"] if code else [])]
    try:
        fetched = Path(
            snapshot_download(given, revision=revision, allow_patterns=wanted, ignore_patterns=["onnx/*", "openvino/*"])
        )
    except Exception as error:
        lines = str(error).strip().splitlines()
        raise ExportError(
            f"{given}: there is no such folder, and no model of this name could be fetched from the hub: "
            f"{lines[0] if lines else type(error).__name__}"
        ) from error
    return fetched, [f"hub {given} at revision {fetched.name}"]


def transformer(folder: Path) -> Path:
    """The transformers folder: itself, or the first module's of a sentence-transformers folder."""
    for name in (MODEL, ADAPTER):
        # Early versions of sentence-transformers kept their own version in a file of this name.
        if (folder / name).is_file() and "__version__" not in read_json(folder / name):
            return folder
        inner = next((file.parent for file in sorted(folder.glob(f"0_*/{name}"))), None)
        if inner is not None:
            return inner
    return folder


def kind(folder: Path) -> str:
    """What a folder holds, as far as its files say: a ``SentenceTransformer``, another class of sentence-transformers, or
    (empty) a transformers model."""
    if not (folder / MODULES).is_file():
        config = read_json(folder / MODEL)
        return "MultiVectorEncoder" if "HF_ColBERT" in (config.get("architectures") or ()) else ""
    about = read_json(folder / "config_sentence_transformers.json")
    stated = about.get("model_type")
    if stated in (None, "ColBERT", "SentenceTransformer") and (
        stated == "ColBERT" or any(k in about for k in _LATE_INTERACTION)
    ):
        return "MultiVectorEncoder"
    modules = (folder / MODULES).read_text(encoding="utf-8")
    known = {"SpladePooling": "SparseEncoder", "MultiVectorMask": "MultiVectorEncoder"}
    guess = next((found for module, found in known.items() if module in modules), "SentenceTransformer")
    return str(stated or guess)


def is_language_model(folder: Path) -> bool:
    """Whether a folder holds a transformers model alone, with a head that says the next word."""
    named = (read_json(transformer(folder) / MODEL).get("architectures") or [""])[0]
    return named.endswith("ForCausalLM") and not (folder / MODULES).is_file()


def reads_pictures_alone(folder: Path) -> bool:
    """Whether a transformers folder holds a model of pictures, with nothing for texts beside it."""
    config = read_json(folder / MODEL)
    if "text_config" in config and "vision_config" in config:
        named = (config.get("architectures") or [""])[0]
        words = any(next(folder.glob(pattern), None) is not None for pattern in TOKENIZERS)
        return not words or named.endswith(("VisionModel", "VisionModelWithProjection"))
    from transformers.models.auto import modeling_auto

    kind = str(config.get("model_type") or "")
    tables = ("MODEL_FOR_IMAGE_MAPPING_NAMES", "MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES")
    known = {name for table in tables for name in getattr(modeling_auto, table, {})}
    return kind in known or kind.endswith("_vision_model")


def reads_sounds_alone(folder: Path) -> bool:
    """Whether a transformers folder holds a model of sounds, with no encoder of texts beside it."""
    config = read_json(folder / MODEL)
    if "text_config" in config and "audio_config" in config:
        named = str((config.get("architectures") or [""])[0])
        return named.endswith(("AudioModel", "AudioModelWithProjection"))
    from transformers.models.auto import modeling_auto

    kind = str(config.get("model_type") or "")
    known = set(getattr(modeling_auto, "MODEL_FOR_AUDIO_CLASSIFICATION_MAPPING_NAMES", {}))
    return kind in known or kind.endswith("_audio_model")


def has_projection(folder: Path) -> bool:
    """Whether sentence-transformers finds a layer for token vectors in a folder, and makes none at random."""
    modules = folder / MODULES
    named = modules.read_text(encoding="utf-8") if modules.is_file() else ""
    return kind(folder) == "MultiVectorEncoder" or ".Dense" in named


def brings_code(folder: Path) -> bool:
    """Whether the configuration of a folder's transformers model names code of its own."""
    return folder.is_dir() and bool(read_json(transformer(folder) / MODEL).get("auto_map"))


def check_stated(folder: Path, modules: list[str]) -> None:
    """Raise `ExportError` where ``modules`` with weights, which sentence-transformers has behind the first, are not stated
    by the folder: it makes them at random where a model was trained as another kind."""
    named = (folder / MODULES).read_text(encoding="utf-8") if (folder / MODULES).is_file() else ""
    made = [name for name in modules if name not in named]
    if made and kind(folder) != "MultiVectorEncoder":  # whose layer may be among the first one's weights
        raise ExportError(
            f"{folder}: has no {made[0]}, and sentence-transformers would make one at random; train it as this kind of model first, or "
            "leave --kind out"
        )


def check_activations(folder: Path) -> None:
    """Raise `ExportError` where a module's function is code of the model's own, in whose place sentence-transformers takes
    another one where that code is not run."""
    for file in sorted({*folder.glob("*.json"), *folder.rglob("config.json")}):
        found = read_json(file)
        inner = found.get("sentence_transformers")
        stated = [
            found.get("activation_function"),
            found.get("activation_fn"),
            found.get("sbert_ce_default_activation_function"),
        ]
        stated.append(inner.get("activation_fn") if isinstance(inner, dict) else None)
        named = [name for name in stated if isinstance(name, str) and "." in name and not name.startswith("torch.")]
        if named:
            raise ExportError(
                f"{file.relative_to(folder)}: the activation {named[0]} is code of the model's own, which is not run unless you ask "
                "for it: read it, then pass --trust-remote-code, or name a class of torch.nn"
            )


def read_json(path: Path) -> dict[str, Any]:
    """What a JSON file of a model holds, {} where it is not there or holds no object; `ExportError` where it cannot be read."""
    try:
        found = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    except (OSError, ValueError) as error:
        raise ExportError(
            f"{path.parent}: {path.name} cannot be read: {error}; save or fetch the model again"
        ) from error
    return found if isinstance(found, dict) else {}


def name(folder: Path) -> str:
    """The folder's name, with its parent's where it says nothing by itself."""
    return f"{folder.parent.name}/{folder.name}" if folder.name in ("model", "final", "best", "output") else folder.name


def is_adapter(folder: Path) -> bool:
    """Whether the weights are those of an adapter, whose base is elsewhere."""
    inner = transformer(folder)
    own = [file for pattern in ("model*.safetensors", "pytorch_model*.bin") for file in inner.glob(pattern)]
    return (inner / ADAPTER).is_file() and not own


def _is_model(folder: Path) -> bool:
    return transformer(folder) != folder or any((folder / name).is_file() for name in (MODULES, MODEL, ADAPTER))
