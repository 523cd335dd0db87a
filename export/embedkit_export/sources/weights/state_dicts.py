"""Weights by name: reading a checkpoint, and what can be done to it. Each operation is a pure function from a state
dict to a new one and a record of what was done."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import msgspec
import torch
from safetensors.torch import load_file
from torch import Tensor

from embedkit.bundle.manifest import is_plain_name
from embedkit.errors import ExportError

State: TypeAlias = dict[str, Tensor]

COLLINEAR = 0.9995
_FILES = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
_SUFFIXES = (".safetensors", ".bin", ".pt", ".pth", ".ckpt")
_INDEX = ".index.json"
_CONTAINERS = ("state_dict", "model_state_dict", "model_dict", "model", "module")
# What a trainer leaves beside the weights.
_TRAINING = re.compile(r"training_args|optimizer|scheduler|scaler|rng_state|adapter_model")


class _Index(msgspec.Struct):
    weight_map: dict[str, str]


def load_state(path: str | Path) -> State:
    """The weights in a file, or in a folder as transformers saves it (one file or shards with an index).

    A file of torch's is read as tensors alone, never as code; the containers that trainers put around a state dict
    (``state_dict``, ``model``, ``model_state_dict``, ``model_dict``) are opened.
    """
    path = Path(path)
    if path.is_dir():
        weights = [file.name for file in path.iterdir() if file.suffix in _SUFFIXES and not _TRAINING.match(file.name)]
        names = [name for name in _FILES if (path / name).is_file()][:1] or sorted(weights)
        if len(names) != 1:
            found = ", ".join(names) or "none"
            raise ExportError(f"surgery: {path}: expected one file of weights, found {found}; name the file")
        path /= names[0]
    if not path.is_file():
        raise ExportError(f"surgery: {path}: there is no such file or folder")
    if path.name.endswith(_INDEX):
        return _load_shards(path)
    try:
        if path.suffix == ".safetensors":
            return dict(load_file(path))
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise ExportError(
            f"surgery: {path.name}: cannot be read as tensors alone (code in a pickle is never run); where you trust "
            f"the file, save its state dict with safetensors and give that: {str(error).partition(chr(10))[0]}"
        ) from error
    return _tensors(content, path.name)


def _load_shards(index: Path) -> State:
    try:
        places = msgspec.json.decode(index.read_bytes(), type=_Index).weight_map
    except msgspec.DecodeError as error:
        raise ExportError(f"surgery: {index.name}: not an index of shards: {error}; download it again") from error
    state: State = {}
    for name in sorted(set(places.values())):
        if not is_plain_name(name) or not name.endswith(_SUFFIXES):
            raise ExportError(f"surgery: {index.name}: expected names of weight files beside it, found {name!r}")
        state |= load_state(index.parent / name)
    lost = sorted(set(places) - set(state))
    if lost:
        raise ExportError(f"surgery: {index.name}: the shards lack {some(lost)}; download them again")
    return state


def _tensors(content: Any, name: str) -> State:
    # Not without end: a file can hold a container that holds itself.
    for _ in range(4):
        if isinstance(content, Mapping):
            content = next((content[key] for key in _CONTAINERS if isinstance(content.get(key), Mapping)), content)
    if not isinstance(content, Mapping) or not content:
        raise ExportError(f"surgery: {name}: expected a state dict, found {type(content).__name__}")
    content = {str(key): value for key, value in content.items() if not str(key).endswith("_extra_state")}
    other = [f"{key} ({type(value).__name__})" for key, value in content.items() if not isinstance(value, Tensor)]
    if other:
        raise ExportError(f"surgery: {name}: expected tensors alone, found {some(other)}; save the state dict alone")
    return {key: value.detach() for key, value in content.items()}


def select(state: State, prefix: str, *, missing_ok: bool = False) -> tuple[State, str]:
    """The weights under ``prefix``, without it."""
    start = _components("select", prefix) + "."
    kept = {key.removeprefix(start): tensor for key, tensor in state.items() if key.startswith(start)}
    if not kept:
        return _absent("select", prefix, state, missing_ok)
    return kept, f"select {prefix!r}: kept {len(kept)} of {len(state)} weights"


def strip(state: State, prefix: str, *, missing_ok: bool = False) -> tuple[State, str]:
    """All weights, ``prefix`` taken off the names that begin with it."""
    start = _components("strip", prefix) + "."
    found = sum(key.startswith(start) for key in state)
    if not found:
        return _absent("strip", prefix, state, missing_ok)
    return _named("strip", state, (key.removeprefix(start) for key in state)), f"strip {prefix!r}: {found} weights"


def drop(state: State, prefix: str, *, missing_ok: bool = False) -> tuple[State, str]:
    """The weights that are neither ``prefix`` nor under it."""
    name = _components("drop", prefix)
    kept = {key: tensor for key, tensor in state.items() if key != name and not key.startswith(name + ".")}
    if len(kept) == len(state):
        return _absent("drop", prefix, state, missing_ok)
    if not kept:
        raise ExportError(f"surgery: drop {prefix!r} leaves no weight; did you mean select or strip?")
    return kept, f"drop {prefix!r}: {len(state) - len(kept)} weights"


def rename(state: State, names: Mapping[str, str], *, missing_ok: bool = False) -> tuple[State, str]:
    """All weights, each fragment of a name replaced by what ``names`` says.

    Every name is read once from left to right and the longest fragment wins, so two names can be swapped.
    """
    table = {_components("rename", old): new.strip(".") for old, new in names.items()}
    counts = dict.fromkeys(table, 0)
    longest = "|".join(re.escape(old) for old in sorted(table, key=len, reverse=True))

    def renamed(match: re.Match[str]) -> str:
        counts[match[0]] += 1
        return table[match[0]]

    fresh = [
        re.sub(r"\.{2,}", ".", re.sub(rf"(?<![^.])(?:{longest})(?![^.])", renamed, key)).strip(".") for key in state
    ]
    for old, count in counts.items():
        if not count:
            _absent("rename", old, state, missing_ok)
    done = ", ".join(f"{old!r} to {new!r} in {counts[old]} weights" for old, new in table.items())
    return _named("rename", state, fresh), f"rename {done}"


def average(states: Sequence[State], weights: Sequence[float] | None = None) -> tuple[State, str]:
    """The mean of each weight over ``states``, summed in float64; ``weights`` are divided by their sum."""
    _comparable("average", states)
    shares = [share / sum(weights) for share in weights] if weights else [1 / len(states)] * len(states)
    if len(shares) != len(states):
        raise ExportError(f"surgery: average: expected {len(states)} weights, found {len(shares)}")

    def mean(tensors: list[Tensor]) -> Tensor:
        return torch.stack([share * tensor.double() for share, tensor in zip(shares, tensors, strict=True)]).sum(0)

    return _combined(states, mean), f"average of {len(states)} checkpoints, {' : '.join(f'{x:.4g}' for x in shares)}"


def slerp(first: State, second: State, t: float) -> tuple[State, str]:
    """Each weight turned from ``first`` (t = 0) towards ``second`` (t = 1) on the arc between them (Shoemake 1985), in
    float64.

    As mergekit does it: the tensor is one vector, the angle is taken between the normalised vectors, the vectors
    themselves are mixed, and nearly parallel ones (absolute cosine over 0.9995) are mixed linearly.
    """
    _comparable("slerp", [first, second])
    linear = 0

    def mixed(tensors: list[Tensor]) -> Tensor:
        nonlocal linear
        a, b = (tensor.double() for tensor in tensors)
        cosine = float((_direction(a) * _direction(b)).sum())
        if abs(cosine) > COLLINEAR:
            linear += 1
            return (1 - t) * a + t * b
        angle = math.acos(cosine)
        mixture: Tensor = (math.sin((1 - t) * angle) * a + math.sin(t * angle) * b) / math.sin(angle)
        return mixture

    state = _combined([first, second], mixed)
    return state, f"slerp of 2 checkpoints, t = {t:g}: {len(state)} weights, {linear} of them linearly"


def _components(stage: str, text: str) -> str:
    name = text.strip(".")
    if not name:
        raise ExportError(f"surgery: {stage}: expected a part of a weight's name, found {text!r}")
    return name


def _absent(stage: str, name: str, state: State, missing_ok: bool) -> tuple[State, str]:
    if missing_ok:
        return state, f"{stage} {name!r}: nothing"
    raise ExportError(
        f"surgery: {stage} {name!r}: no weight has this whole part in its name; the checkpoint has {prefixes(state)}"
    )


def prefixes(state: State) -> str:
    """The beginnings of the weights' names, two components where one says little."""
    for length in (1, 2, 3):
        heads = list(dict.fromkeys(".".join(key.split(".")[:length]) for key in state))
        if len(heads) > 2:
            break
    return some(heads, limit=8)


def some(items: Iterable[str], separator: str = ", ", limit: int = 5) -> str:
    """The first few of ``items``, and how many more there are."""
    texts = list(items)
    rest = len(texts) - limit
    return separator.join(texts[:limit]) + (f"{separator}and {rest} more" if rest > 0 else "")


def _named(stage: str, state: State, names: Iterable[str]) -> State:
    fresh: dict[str, str] = {}
    for key, name in zip(state, names, strict=True):
        if not name or name in fresh:
            other = f"the same as {fresh[name]}" if name else "empty"
            raise ExportError(f"surgery: {stage}: the new name of {key} is {other}; drop one of them first")
        fresh[name] = key
    return {name: state[key] for name, key in fresh.items()}


def _comparable(stage: str, states: Sequence[State]) -> None:
    """Raises unless all have the same weights in the same shapes, and not all the same numbers."""
    first, *others = states
    equal = True
    for other in others:
        odd = sorted(set(first) ^ set(other))
        for key in first.keys() & other.keys():
            shapes = [tuple(state[key].shape) for state in (first, other)]
            if shapes[0] != shapes[1]:
                odd.append(f"{key} {shapes[0]} and {shapes[1]}")
        if odd:
            raise ExportError(f"surgery: {stage}: the checkpoints differ in {some(odd)}; drop what only one has")
        whole = [key for key in first if not first[key].is_floating_point() and not torch.equal(first[key], other[key])]
        if whole:
            raise ExportError(f"surgery: {stage}: {some(whole)} are whole numbers that differ; drop them first")
        equal = equal and all(torch.equal(first[key], other[key]) for key in first)
    if equal:
        raise ExportError(f"surgery: {stage}: the checkpoints are equal, which changes nothing; check their paths")


def _combined(states: Sequence[State], mix: Callable[[list[Tensor]], Tensor]) -> State:
    """Mixed numbers are kept in float32 at least; whole numbers are equal in all states."""
    result: State = {}
    for key, tensor in states[0].items():
        if tensor.is_floating_point():
            kind = torch.promote_types(tensor.dtype, torch.float32)
            result[key] = mix([state[key] for state in states]).to(kind)
        else:
            result[key] = tensor
    return result


def _direction(vector: Tensor) -> Tensor:
    """Of length one, or as it is where it has no length."""
    length = vector.norm()
    return vector / length if length > 1e-8 else vector
