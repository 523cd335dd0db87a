"""Surgery on a checkpoint before it is exported: one tower of several, renamed or dropped weights, merged adapters and
checkpoints, fewer layers.

The operations on names and weights are pure functions from state dicts to a new state dict and a record; `apply` runs
what a `Surgery` asks for and returns the model with the records, which belong into the manifest.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import msgspec
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from embedkit.errors import ExportError, MissingExtraError
from embedkit.types import is_plain_name

from .source import quiet

State: TypeAlias = dict[str, Tensor]

COLLINEAR = 0.9995
_FILES = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
_SUFFIXES = (".safetensors", ".bin", ".pt", ".pth", ".ckpt")
_INDEX = ".index.json"
_CONTAINERS = ("state_dict", "model_state_dict", "model_dict", "model", "module")
_DEPTHS = ("num_hidden_layers", "n_layer", "num_layers", "n_layers")
# What a trainer leaves beside the weights.
_TRAINING = re.compile(r"training_args|optimizer|scheduler|scaler|rng_state|adapter_model")
# Buffers that a model computes for itself.
_COMPUTED = ("position_ids", "token_type_ids", "inv_freq")


class _Index(msgspec.Struct):
    weight_map: dict[str, str]


class _Table(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, frozen=True, kw_only=True):
    pass


class Slerp(_Table, frozen=True):
    """Spherical interpolation with another checkpoint of the same model."""

    other: str = msgspec.field(name="with")
    """Folder or file of the other checkpoint; the key is ``with`` in a recipe."""
    t: Annotated[float, msgspec.Meta(gt=0, lt=1)] = 0.5
    """The share of the other one."""


class Average(_Table, frozen=True):
    """The weighted mean with other checkpoints of the same model."""

    others: Annotated[list[str], msgspec.Meta(min_length=1)] = msgspec.field(name="with")
    """Folders or files of the other checkpoints; the key is ``with`` in a recipe."""
    weights: list[Annotated[float, msgspec.Meta(gt=0)]] | None = None
    """One for this checkpoint and one for each other, in any scale; all equal by default."""

    def __post_init__(self) -> None:
        if self.weights is not None and len(self.weights) != len(self.others) + 1:
            raise ValueError(f"expected {len(self.others) + 1} `weights` (this checkpoint's comes first)")


class Surgery(_Table, frozen=True):
    """The table ``[surgery]`` of a recipe; what is given is done in the order of the fields.

    Prefixes and fragments are whole components of the dotted names: ``mlp`` never touches ``mlp2``. Paths are relative
    to the recipe. Other checkpoints get the same `select`, `strip`, `drop` and `rename` where they hold such names.
    """

    checkpoint: str | None = None
    """The weights' file, relative to the model folder, where it is not the one of a transformers folder."""
    select: str | None = None
    """Keep the weights under this prefix only, without it: one tower out of several."""
    strip: list[str] = []
    """Prefixes taken off where present; other weights stay as they are."""
    drop: list[str] = []
    """Prefixes of weights to throw away: heads."""
    rename: dict[str, str] = {}
    """Fragments of names and what they become; an empty text removes the fragment."""
    average: Average | None = None
    slerp: Slerp | None = None
    lora: list[str] = []
    """Folders of peft adapters, merged in this order."""
    layers: Annotated[int, msgspec.Meta(ge=1)] | None = None
    """Keep the first layers only: the output is ``hidden_states[layers]`` of the whole model."""
    final_norm: bool = False
    """With `layers`, keep the norm that follows the last layer and apply it to that output."""

    def __post_init__(self) -> None:
        if self.final_norm and self.layers is None:
            raise ValueError("`final_norm` says how `layers` cuts: give `layers` or leave it out")


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
        raise ExportError(f"surgery: {index.name}: the shards lack {_some(lost)}; download them again")
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
        raise ExportError(f"surgery: {name}: expected tensors alone, found {_some(other)}; save the state dict alone")
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
        raise ExportError(f"surgery: weights of another shape than config.json says: {_some(wrong, '; ')}")
    records = []
    moved = sum(name != key for name, key in found.items())
    if moved:
        records.append(f"load: {moved} weights renamed as transformers does (base prefix {base!r}, gamma, beta)")
    if left:
        records.append(f"load: left over, not in the model: {_some(left)}")
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
        raise ExportError(f"surgery: {len(missing)} weights of the model are not in the checkpoint: {_some(missing)}")
    model.load_state_dict(state, strict=False)
    return [f"load: not in the checkpoint, made at random, not to be used: {_some(poolers)}"] if poolers else []


def merge_lora(model: Any, folder: str | Path) -> tuple[Any, str]:
    """``model`` with the peft adapter of ``folder`` merged into its weights; raises `ExportError` unless every weight
    of the adapter finds its place."""
    try:
        import peft
    except ImportError as error:
        raise MissingExtraError("peft", "export", "merging a LoRA adapter") from error
    # Of Any: with peft's own types, strict checking would refuse its untyped functions.
    library: Any = peft
    folder = Path(folder)
    # peft takes a folder without these for the name of a model on the hub.
    weights = [folder / f"adapter_model.{suffix}" for suffix in ("safetensors", "bin")]
    if not (folder / "adapter_config.json").is_file() or not any(file.is_file() for file in weights):
        raise ExportError(
            f"surgery: lora {folder}: expected a folder with adapter_config.json and adapter_model.safetensors"
        )
    prefix = str(getattr(model, "base_model_prefix", ""))
    try:
        config = library.PeftConfig.from_pretrained(str(folder))
        # A task's wrapper wants a model with that task's head; merging needs none.
        config.task_type = None
        stored = set(library.load_peft_weights(str(folder), device="cpu"))
        start = f"base_model.model.{prefix}."
        headed = bool(prefix) and not hasattr(model, prefix) and all(key.startswith(start) for key in stored)
        wrapped = library.PeftModel.from_pretrained(
            model,
            str(folder),
            config=config,
            torch_device="cpu",
            key_mapping={rf"^{re.escape(prefix)}\.": ""} if headed else None,
        )
        if headed:
            stored = {"base_model.model." + key.removeprefix(start) for key in stored}
        placed = set(library.get_peft_model_state_dict(wrapped, save_embedding_layers=False))
        if stored == placed:
            merged = wrapped.merge_and_unload(safe_merge=True)
    except Exception as error:
        raise ExportError(f"surgery: lora {folder.name}: peft cannot merge this adapter: {error}") from error
    if stored != placed:
        raise ExportError(
            f"surgery: lora {folder.name}: made for another model; of {len(stored)} weights these have no place or no "
            f"match: {_some(sorted(stored ^ placed))}; build the model that the adapter was trained on"
        )
    return (
        merged.eval(),
        f"lora {folder.name}: merged {len(stored)} weights, {config.peft_type.value}, r = {getattr(config, 'r', None)}",
    )


def cut_layers(model: Any, layers: int, *, final_norm: bool = False) -> str:
    """Cut ``model``, a transformers text model, in place to its first ``layers`` layers.

    Its output becomes ``hidden_states[layers]`` of the whole model, which has not passed the norm that many
    architectures put after the last layer: that one is replaced by an identity, which no config.json can say, so the
    live model must go on to the export. With ``final_norm`` it stays. Both models are run on a few tokens and compared;
    raises `ExportError` where they differ.
    """
    core = getattr(model, "base_model", model)
    config = getattr(core, "config", None)
    field, depth = _depth(config)
    if not 1 <= layers < depth:
        raise ExportError(f"surgery: layers: expected 1 to {depth - 1} of the model's {depth} layers, found {layers}")
    lists = {name: module for name, module in core.named_modules() if isinstance(module, nn.ModuleList)}
    stacks = [
        name
        for name, module in lists.items()
        if len(module) == depth and not any(name.startswith(outer + ".") for outer in lists)
    ]
    if len(stacks) != 1:
        raise ExportError(
            f"surgery: layers: expected one list of {depth} layers in {type(core).__name__}, found "
            f"{', '.join(stacks) or 'none'}; build an encoder or a decoder alone"
        )
    stack = lists[stacks[0]]
    hidden, norms = _probe(core, stack)
    if len(hidden) != depth + 1:
        raise ExportError(f"surgery: layers: expected {depth + 1} hidden states, found {len(hidden)}")
    if final_norm and not norms:
        raise ExportError("surgery: final_norm: no norm follows the last layer of this model; leave it out")
    expected = hidden[layers]
    with torch.no_grad():
        for name in norms:
            if final_norm:
                expected = core.get_submodule(name)(expected)
            else:
                core.set_submodule(name, nn.Identity())
    del stack[layers:]
    for each in {id(c): c for m in model.modules() if (c := getattr(m, "config", None)) is not None}.values():
        if getattr(each, field, None) == depth:
            setattr(each, field, layers)
        for key, value in list(vars(each).items()):
            # layer_types and its kin say something of each layer.
            if "layer" in key and isinstance(value, list | tuple) and len(value) == depth:
                setattr(each, key, value[:layers])
    if not torch.allclose(_probe(core, stack)[0][-1], expected, rtol=1e-5, atol=1e-6, equal_nan=True):
        raise ExportError(
            f"surgery: layers: {type(core).__name__} cut to {layers} layers does not give hidden_states[{layers}] of "
            "the whole model; it cannot be cut this way"
        )
    after = f", final norm {', '.join(norms)} {'kept' if final_norm else 'taken out'}" if norms else ""
    return f"layers: kept the first {layers} of {depth} ({stacks[0]}){after}"


def _depth(config: Any) -> tuple[str, int]:
    """The field of the config that counts the layers, and their number."""
    from optimum.utils import NormalizedConfigManager

    fields = list(_DEPTHS)
    if getattr(config, "model_type", None) in NormalizedConfigManager._conf:
        known = NormalizedConfigManager.get_normalized_config_class(config.model_type)(config)
        fields.insert(0, getattr(known, "NUM_LAYERS", _DEPTHS[0]))
    for field in fields:
        depth = getattr(config, field, None)
        if isinstance(depth, int):
            return field, depth
    raise ExportError(f"surgery: layers: the model's config counts no layers; expected one of {', '.join(_DEPTHS)}")


def _probe(core: Any, stack: nn.ModuleList) -> tuple[tuple[Tensor, ...], list[str]]:
    """The hidden states of a few tokens, the last being the output, and the norms that ran after the last layer."""
    norms: list[str] = []
    reached = False

    def reach(*_: Any) -> None:
        nonlocal reached
        reached = True

    def note(name: str) -> Callable[..., None]:
        return lambda *_: norms.append(name) if reached and name not in norms else None

    hooks = [stack[-1].register_forward_hook(reach)]
    hooks += [
        module.register_forward_hook(note(name))
        for name, module in core.named_modules()
        if "norm" in type(module).__name__.lower() and not list(module.children())
    ]
    training = core.training
    ids = [i for i in range(8) if i != getattr(core.config, "pad_token_id", None)][:5]
    tokens = torch.tensor([ids], device=next(core.parameters()).device)
    try:
        with torch.no_grad():
            core.eval()
            output = core(input_ids=tokens, attention_mask=torch.ones_like(tokens), output_hidden_states=True)
        return (*output.hidden_states[:-1], output.last_hidden_state), norms
    except Exception as error:
        raise ExportError(f"surgery: layers: {type(core).__name__} does not run on token ids: {error}") from error
    finally:
        core.train(training)
        for hook in hooks:
            hook.remove()


def apply(
    model_folder: str | Path,
    surgery: Surgery,
    *,
    build: Callable[[Any], nn.Module] | None = None,
    root: str | Path | None = None,
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
            config = AutoConfig.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
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
            model, record = merge_lora(model, root / path)
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
    return f"use select, strip or rename; the checkpoint has {_prefixes(state)}"


def _components(stage: str, text: str) -> str:
    name = text.strip(".")
    if not name:
        raise ExportError(f"surgery: {stage}: expected a part of a weight's name, found {text!r}")
    return name


def _absent(stage: str, name: str, state: State, missing_ok: bool) -> tuple[State, str]:
    if missing_ok:
        return state, f"{stage} {name!r}: nothing"
    raise ExportError(
        f"surgery: {stage} {name!r}: no weight has this whole part in its name; the checkpoint has {_prefixes(state)}"
    )


def _prefixes(state: State) -> str:
    """The beginnings of the weights' names, two components where one says little."""
    for length in (1, 2, 3):
        heads = list(dict.fromkeys(".".join(key.split(".")[:length]) for key in state))
        if len(heads) > 2:
            break
    return _some(heads, limit=8)


def _some(items: Iterable[str], separator: str = ", ", limit: int = 5) -> str:
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
            raise ExportError(f"surgery: {stage}: the checkpoints differ in {_some(odd)}; drop what only one has")
        whole = [key for key in first if not first[key].is_floating_point() and not torch.equal(first[key], other[key])]
        if whole:
            raise ExportError(f"surgery: {stage}: {_some(whole)} are whole numbers that differ; drop them first")
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
