"""Surgery on a checkpoint before it is exported: one tower of several, renamed or dropped weights, merged adapters and
checkpoints, fewer layers.

`apply` runs what a `Surgery` asks for and returns the model with the records, which belong into the manifest.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from embedkit.errors import ExportError
from embedkit_export.quiet import quiet
from embedkit_export.recipes.surgery import Surgery

from . import adapters
from .weights.cut_layers import cut_layers
from .weights.state_dicts import State, average, drop, load_state, prefixes, rename, select, slerp, some, strip

# Buffers that a model computes for itself.
_COMPUTED = ("position_ids", "token_type_ids", "inv_freq")


def fit(model: nn.Module, state: State) -> tuple[State, list[str]]:
    """``state`` under the names of ``model``, and records of what was changed and what is left over.

    The prefix of the base model (``bert.``, ``model.``) is taken off or put before where only that makes a name known,
    and the names ``gamma`` and ``beta`` of old checkpoints become ``weight`` and ``bias``.
    """
    known = model.state_dict()
    base = str(getattr(model, "base_model_prefix", "") or "") + "."
    found: dict[str, str] = {}
    left = []
    for key in state:
        modern = re.sub(r"(?<![^.])beta$", "bias", re.sub(r"(?<![^.])gamma$", "weight", key))
        names = [name for form in (key, modern) for name in (form, form.removeprefix(base), base + form)]
        name = next((name for name in names if name in known), None)
        if name is None:
            left.append(key)
        elif name in found:
            raise ExportError(f"surgery: {found[name]} and {key} are both {name} of the model; drop one of them")
        else:
            found[name] = key
    wrong = [
        f"{name}: expected {tuple(known[name].shape)}, found {tuple(state[key].shape)}"
        for name, key in found.items()
        if known[name].shape != state[key].shape
    ]
    if wrong:
        raise ExportError(f"surgery: weights of another shape than config.json says: {some(wrong, '; ')}")
    records = []
    moved = sum(name != key for name, key in found.items())
    if moved:
        records.append(f"load: {moved} weights renamed as transformers does (base prefix {base!r}, gamma, beta)")
    if left:
        records.append(f"load: left over, not in the model: {some(left)}")
    return {name: state[key] for name, key in found.items()}, records


def load_into(model: nn.Module, state: State) -> list[str]:
    """Load ``state``, whose names `fit` made, into ``model``; raises `ExportError` where weights are missing.

    Only a pooler and buffers of positions may be missing; the records say so.
    """
    own = model.state_dict(keep_vars=True)
    loaded: dict[int, str] = {}
    for name, tensor in state.items():
        twin = loaded.setdefault(id(own[name]), name)
        if twin != name and not torch.equal(state[twin], tensor):
            raise ExportError(f"surgery: the model ties {twin} and {name}, the checkpoint has two different ones")
    missing = [
        name for name, value in own.items() if id(value) not in loaded and name.rpartition(".")[2] not in _COMPUTED
    ]
    poolers = [name for name in missing if "pooler" in name.split(".")]
    missing = [name for name in missing if name not in poolers]
    if missing:
        raise ExportError(f"surgery: {len(missing)} weights of the model are not in the checkpoint: {some(missing)}")
    model.load_state_dict(state, strict=False)
    return [f"load: not in the checkpoint, made at random, not to be used: {some(poolers)}"] if poolers else []


def apply(
    model_folder: str | Path,
    surgery: Surgery,
    *,
    build: Callable[[Any], nn.Module] | None = None,
    root: str | Path | None = None,
    trust_remote_code: bool = False,
) -> tuple[Any, list[str]]:
    """The model of a transformers folder after ``surgery``, in float32 and evaluation mode, and the records.

    ``build`` makes the model, its weights still at random, from the folder's config; by default it is what AutoModel
    makes of it. The paths in ``surgery`` are relative to ``root``, else to the working folder. Raises `ExportError`
    where an operation changes nothing, two weights get one name, or a weight of the model is missing.
    """
    from transformers import AutoConfig, AutoModel

    folder, root = Path(model_folder), Path(root or ".")
    if not (folder / "config.json").is_file():
        raise ExportError(f"surgery: {folder}: expected a folder with config.json")
    # The random weights of a pooler that is missing stay the same from run to run.
    with quiet(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        try:
            config = AutoConfig.from_pretrained(str(folder), local_files_only=True, trust_remote_code=trust_remote_code)
            model: Any = (build or (lambda c: AutoModel.from_config(c, dtype=torch.float32)))(config)
        except Exception as error:
            raise ExportError(f"surgery: {folder.name}: no model can be made of config.json: {error}") from error
        model = model.float().eval()
        original = load_state(folder / surgery.checkpoint if surgery.checkpoint else folder)
        edited, records = _edit(original, surgery)
        state, fitted = fit(model, edited)
        records += fitted

        def other(path: str) -> State:
            state, done = fit(model, _edit(load_state(root / path), surgery, missing_ok=True)[0])
            records.extend(f"{Path(path).name}: {record}" for record in done)
            return state

        if surgery.average:
            others = surgery.average.others
            state, record = average([state, *map(other, others)], surgery.average.weights)
            records.append(f"{record}, with {', '.join(Path(path).name for path in others)}")
        if surgery.slerp:
            state, record = slerp(state, other(surgery.slerp.other), surgery.slerp.t)
            records.append(f"{record}, with {Path(surgery.slerp.other).name}")
        try:
            records += load_into(model, state)
        except ExportError as error:
            raise ExportError(f"{error}; {_advice(model, edited)}") from error
        for path in surgery.lora:
            model, record = adapters.merge(model, root / path)
            records.append(record)
        if surgery.layers is not None:
            records.append(cut_layers(model, surgery.layers, final_norm=surgery.final_norm))
    return model, records


def _edit(state: State, surgery: Surgery, *, missing_ok: bool = False) -> tuple[State, list[str]]:
    steps: list[tuple[Callable[..., tuple[State, str]], Any]] = []
    if surgery.select is not None:
        steps.append((select, surgery.select))
    steps += [(strip, prefix) for prefix in surgery.strip]
    steps += [(drop, prefix) for prefix in surgery.drop]
    if surgery.rename:
        steps.append((rename, surgery.rename))
    records = []
    for step, argument in steps:
        state, record = step(state, argument, missing_ok=missing_ok)
        records.append(record)
    return state, records


def _advice(model: nn.Module, state: State) -> str:
    """What to write for weights that are missing: the prefix under which the checkpoint has them, else what it has."""
    names = list(model.state_dict())
    homes = {key[: -len(name) - 1] for name in names[:1] + names[-1:] for key in state if key.endswith("." + name)}
    if homes:
        return "try " + " or ".join(f'select = "{home}"' for home in sorted(homes)[:4])
    return f"use select, strip or rename; the checkpoint has {prefixes(state)}"
