"""Adapters of peft (LoRA and its kin): merged into the weights, so that nothing of them is left to run."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from torch import Tensor, nn

from embedkit.errors import ExportError, MissingExtraError

from . import folders
from .weights.state_dicts import some

CONFIG = folders.ADAPTER
_WEIGHTS = ("adapter_model.safetensors", "adapter_model.bin")
_ROOT = "base_model.model."


class Base(msgspec.Struct):
    """The model that an adapter was trained on, as its configuration names it."""

    base_model_name_or_path: str | None = None
    revision: str | None = None


def base(folder: Path) -> Base:
    """The base of the adapter in ``folder``; a path is absolute, or relative to the working folder or to the adapter.
    Raises `ExportError` where none is named."""
    try:
        found = msgspec.json.decode((folder / CONFIG).read_bytes(), type=Base)
    except (OSError, msgspec.DecodeError) as error:
        raise ExportError(f"adapter {folder}: {CONFIG} cannot be read: {error}; save the adapter again") from error
    if not found.base_model_name_or_path:
        raise ExportError(
            f"adapter {folder}: {CONFIG} names no base_model_name_or_path; export the base model, with the adapter in the "
            f'recipe: [surgery] lora = ["{folder}"]'
        )
    beside = folder / found.base_model_name_or_path
    if not Path(found.base_model_name_or_path).exists() and beside.exists():
        return Base(str(beside), found.revision)
    return found


def merge(model: Any, folder: str | Path) -> tuple[Any, str]:
    """``model`` with the adapter of ``folder`` merged into its weights, and a record of it.

    Where the adapter was trained on the model with a head, the head's weights are left over. Raises `ExportError`
    unless every other weight of the adapter finds its place, and every place its weight.
    """
    library = _peft()
    folder = Path(folder)
    # peft takes a folder without these for the name of a model on the hub.
    if not (folder / CONFIG).is_file() or not any((folder / name).is_file() for name in _WEIGHTS):
        raise ExportError(f"surgery: lora {folder}: expected a folder with {CONFIG} and {_WEIGHTS[0]}")
    try:
        config = library.PeftConfig.from_pretrained(str(folder))
        # A task's wrapper wants a model with that task's head; merging needs none.
        config.task_type = None
        stored: dict[str, Tensor] = library.load_peft_weights(str(folder), device="cpu")
        prefix = str(getattr(model, "base_model_prefix", ""))
        body = f"{_ROOT}{prefix}."
        headed = bool(prefix) and not hasattr(model, prefix) and any(key.startswith(body) for key in stored)
        # Names, and the patterns of ranks and scales, are those of the model with its head.
        whole = _Headed(prefix, model) if headed else model
        head = [key for key in stored if headed and not key.startswith(body)]
        state = {key: tensor for key, tensor in stored.items() if key not in head}
        _resize(model, state, f"{_ROOT}{prefix}." if headed else _ROOT)
        if config.__dict__.get("modules_to_save"):
            names = {name.rpartition(".")[2] for name, _ in whole.named_modules()}
            config.modules_to_save = [name for name in config.modules_to_save if name.rpartition(".")[2] in names]
        wrapped = library.PeftModel(whole, config)
        unknown = set(library.set_peft_model_state_dict(wrapped, state).unexpected_keys)
        placed = set(library.get_peft_model_state_dict(wrapped, save_embedding_layers=False))
        lost = sorted(unknown | (placed - set(state)))
        merged = None if lost else wrapped.merge_and_unload(safe_merge=True)
    except Exception as error:
        raise ExportError(f"surgery: lora {folder.name}: peft cannot merge this adapter: {error}") from error
    if merged is None:
        raise ExportError(
            f"surgery: lora {folder.name}: made for another model; of {len(stored)} weights these have no place or no "
            f"match: {some(lost)}; build the model that the adapter was trained on"
        )
    left = f"; left over, of the head: {some(sorted(head))}" if head else ""
    return (
        (getattr(merged, prefix) if headed else merged).eval(),
        f"lora {folder.name}: merged {len(state)} weights, {config.peft_type.value}, r = {getattr(config, 'r', None)}{left}",
    )


class _Headed(nn.Module):
    """A model under the name that it has inside the same model with a head."""

    def __init__(self, prefix: str, model: Any) -> None:
        super().__init__()
        self.add_module(prefix, model)
        self.config = model.config


def _resize(model: Any, state: Mapping[str, Tensor], start: str) -> None:
    """Give ``model`` as many rows of tokens as the adapter brings, where tokens were added before it was trained."""
    table = model.get_input_embeddings() if hasattr(model, "get_input_embeddings") else None
    name = next((name for name, module in model.named_modules() if module is table), None)
    for key in (f"{start}{name}.weight", f"{start}{name}.base_layer.weight"):
        if key in state and table is not None and len(state[key]) != table.num_embeddings:
            model.resize_token_embeddings(len(state[key]), mean_resizing=False)


def absorb(model: Any) -> tuple[Any, list[str]]:
    """``model`` with the adapters that are live in it merged, in place, and records of it."""
    layers = {type(module).__name__ for module in model.modules() if hasattr(module, "base_layer")}
    if not layers:
        return model, []
    library = _peft()
    try:
        if isinstance(model, library.PeftModel):
            model = model.merge_and_unload(safe_merge=True)
        for name, module in list(model.named_modules()):
            if isinstance(module, library.tuners.tuners_utils.BaseTunerLayer):
                if not module.disable_adapters:
                    module.merge(safe_merge=True)
                model.set_submodule(name, module.get_base_layer())
    except Exception as error:
        raise ExportError(
            f"{type(model).__name__}: its live adapter cannot be merged: {error}; merge it and give the model"
        ) from error
    return model.eval(), [f"merged the live adapter ({some(sorted(layers))})"]


@contextmanager
def merged_folder(folder: Path, base: Path, load: Callable[[Path], Any]) -> Iterator[tuple[Path, str]]:
    """A model folder, for as long as the context lasts: that of an adapter, merged into the model that ``load`` makes of
    the base's transformers folder; and the record of it.

    An adapter inside a sentence-transformers folder keeps that folder's modules; one alone gets those of the folder
    ``base``. The tokenizer is the adapter's where it brings one.
    """
    adapter, origin = folders.transformer(folder), folders.transformer(base)
    outer, inner = (folder, adapter) if (folder / folders.MODULES).is_file() else (base, origin)
    with tempfile.TemporaryDirectory(prefix="embedkit-adapter-") as made:
        target = Path(made) / folder.resolve().name
        place = target / inner.relative_to(outer)
        shutil.copytree(outer, target, ignore=lambda at, names: _left_out(Path(at) == inner, names))
        for part in (origin, adapter):
            for file in part.iterdir():
                if file.is_file() and not _left_out(True, [file.name]):
                    shutil.copyfile(file, place / file.name)
        model, record = merge(load(origin), adapter)
        model.save_pretrained(place)
        yield target, record


def _left_out(inner: bool, names: list[str]) -> set[str]:
    """What is not copied: other formats of the model and, in its own folder, its weights."""
    weights = {name for name in names if name == CONFIG or name.endswith((".safetensors", ".bin", ".index.json"))}
    return {"onnx", "openvino"}.intersection(names) | (weights if inner else set())


def _peft() -> Any:
    # Of Any: with peft's own types, strict checking would refuse its untyped functions.
    try:
        import peft
    except ImportError as error:
        raise MissingExtraError("peft", "export", "merging a LoRA adapter") from error
    return peft
