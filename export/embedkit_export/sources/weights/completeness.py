"""Whether a checkpoint is what the classes that read it expect: weights that are missing (and would be random), of another
shape, or left over."""

from __future__ import annotations

import copy
import re
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import nn

from embedkit.errors import ExportError

from .state_dicts import some

COMPUTED = ("position_ids", "token_type_ids", "inv_freq", "original_inv_freq", "masked_bias", "version")
"""The last parts of names of buffers that a model computes for itself, and of marks of versions."""
_CAUSAL_MASK = re.compile(r"(^|\.)(attn|attention)\.bias$")  # older decoders stored it in every layer
_HEADS = {"cls", "lm_head", "lm_predictions", "mask_predictions", "discriminator_predictions", "generator_predictions",
          "predictions", "classifier", "score", "qa_outputs", "logit_scale", "logit_scale_a", "logit_scale_t",
          "vision_model", "visual_projection", "audio_model", "audio_projection"}  # fmt: skip
"""Names of heads that trainers leave in checkpoints, whatever class is loaded, and of the other half of a pair of encoders."""

_OTHER_CLASS = "name another class in a recipe (model_class), or select, strip or rename the weights there ([surgery])"

Made = TypeVar("Made")

_turn = threading.RLock()  # a class is changed while somebody watches


@dataclass
class _Loaded:
    """A transformers model that was read from a checkpoint, and the names that did not fit: weights of the model that
    are not in the checkpoint, weights of the checkpoint that are not in the model, and (name, shape in the checkpoint,
    shape in the model)."""

    model: Any
    missing: list[str]
    unexpected: list[str]
    mismatched: list[tuple[str, tuple[int, ...], tuple[int, ...]]]


def complete(make: Callable[[], Made], where: str, *, read_elsewhere: Iterable[str] = ()) -> tuple[Made, list[str]]:
    """What ``make`` makes of checkpoints by transformers or sentence-transformers, and notes on the classes that were
    taken.

    A pooler that nothing uses is taken out where the checkpoint lacks it: nothing may come from it. ``read_elsewhere`` are
    weights that another module reads. Raises `ExportError` that begins with ``where`` and names the weights that a model
    lacks, that have another shape than its configuration says, or that it leaves out although they belong to it.
    """
    with _watched() as found:
        made = make()
    elsewhere = set(read_elsewhere)
    return made, [note for one in found for note in _checked(one, where, elsewhere)]


@contextmanager
def _watched() -> Iterator[list[_Loaded]]:
    """The models that transformers reads from checkpoints on this thread while the context lasts, whoever asks for
    them."""
    from transformers import PreTrainedModel

    found: list[_Loaded] = []
    owner = threading.get_ident()
    with _turn:
        before: Any = PreTrainedModel.__dict__["from_pretrained"]

        def from_pretrained(cls: Any, *args: Any, **options: Any) -> Any:
            if threading.get_ident() != owner:
                return before.__func__(cls, *args, **options)
            told = options.pop("output_loading_info", False)
            options["ignore_mismatched_sizes"] = True  # transformers would end without their names
            model, info = before.__func__(cls, *args, output_loading_info=True, **options)
            shapes = [(key, tuple(stored), tuple(own)) for key, stored, own in info["mismatched_keys"]]
            found.append(_Loaded(model, sorted(info["missing_keys"]), sorted(info["unexpected_keys"]), sorted(shapes)))
            return (model, info) if told else model

        PreTrainedModel.from_pretrained = classmethod(from_pretrained)
        try:
            yield found
        finally:
            PreTrainedModel.from_pretrained = before


def _checked(one: _Loaded, where: str, elsewhere: set[str]) -> list[str]:
    """Notes on one model; raises `ExportError`."""
    name, own = type(one.model).__name__, _own_code(one.model)
    if one.mismatched:
        shapes = (f"{key} is {stored}, not {wanted}" for key, stored, wanted in one.mismatched)
        raise ExportError(
            f"{where}: the checkpoint has {len(one.mismatched)} weights of another shape than {name} has by its config.json: "
            f"{some(shapes, '; ')}; {own or 'take the config.json that belongs to these weights'}"
        )
    lacking = _lacking(one)
    if lacking:
        raise ExportError(
            f"{where}: the checkpoint lacks {len(lacking)} weights of {name} (first: {some(lacking, limit=4)}), which would be "
            f"random; {own or _OTHER_CLASS}"
        )
    left = left_over(one.model, [key for key in one.unexpected if key not in elsewhere])
    if left:
        raise ExportError(
            f"{where}: {name} has no place for {len(left)} weights of the checkpoint (first: {some(left, limit=4)}), and may not be "
            f"the model that was trained; {own or 'correct config.json, or name another class in a recipe (model_class)'}; if they may "
            f"be left out, say so in a recipe: [surgery] drop = {_dropping(left)}"
        )
    if own:
        return [f"{name} of transformers was taken in the place of the model's own class: {own}"]
    module = type(one.model).__module__
    if module.startswith("transformers_modules."):
        return [f"{name} was taken, a class of the model's own code ({module.rpartition('.')[2]}.py)"]
    return []


def _own_code(model: Any) -> str:
    """What to do where the model's configuration names code of its own and a class of transformers was taken; else
    empty."""
    code = getattr(getattr(model, "config", None), "auto_map", None) or {}
    named = {str(value).rpartition("--")[2] for key, value in code.items() if key.startswith("AutoModel")}
    if not named or not type(model).__module__.startswith("transformers."):
        return ""
    return (
        f"config.json names {some(sorted(named))} (auto_map): read that code, then pass --trust-remote-code to run it"
    )


def _lacking(one: _Loaded) -> list[str]:
    """Weights that are missing and would be used; an unused pooler among them is taken out."""
    body = getattr(one.model, "base_model", one.model)
    missing = [key for key in one.missing if key.rpartition(".")[2] not in COMPUTED]
    poolers = [key for key in missing if "pooler" in key.split(".")]
    if not poolers or not (body is one.model or type(one.model).__name__.endswith("ForMaskedLM")):
        return missing
    owner = one.model if hasattr(one.model, "pooler") else body
    if hasattr(owner, "pooler"):
        owner.pooler = None
    return [key for key in missing if key not in poolers]


def left_over(model: Any, keys: Iterable[str]) -> list[str]:
    """Those of a checkpoint's ``keys``, which the model has no place for, that belong to no head or other half that it is
    known to be without."""
    left = [key for key in keys if not _harmless(key)]
    own = {name for name, _ in model.named_children()}
    for make in _siblings(model) if left else ():
        names = _names(make)
        parts = {name.partition(".")[0] for name in names} - own
        left = [key for key in left if key not in names and key.partition(".")[0] not in parts]
        if not left:
            break
    return left


def _harmless(key: str) -> bool:
    first, *_ = parts = key.split(".")
    return first in _HEADS or "pooler" in parts or parts[-1] in COMPUTED or _CAUSAL_MASK.search(key) is not None


def _siblings(model: Any) -> Iterator[Callable[[], nn.Module]]:
    """Makers of the other classes of transformers that read such a checkpoint: the one that it names, and those of the
    tasks."""
    import transformers
    from transformers.models.auto import modeling_auto

    config = getattr(model, "config", None)
    kinds: list[Any] = [getattr(transformers, name, None) for name in getattr(config, "architectures", None) or ()]
    mappings = [
        value for name, value in sorted(vars(modeling_auto).items()) if re.fullmatch(r"MODEL_FOR_\w+_MAPPING", name)
    ]
    for mapping in mappings:
        found = mapping.get(type(config), ()) if hasattr(mapping, "get") else ()
        kinds += found if isinstance(found, tuple) else (found,)
    small = copy.deepcopy(config)
    for name in ("num_hidden_layers", "n_layer", "n_layers", "num_layers"):  # a head is the same above one layer
        if isinstance(getattr(small, name, None), int):
            setattr(small, name, 1)
    for kind in dict.fromkeys(kind for kind in kinds if isinstance(kind, type)):
        if kind is type(model):
            continue
        own: Any = getattr(kind, "config_class", None)
        yield lambda kind=kind, own=own: kind(small if own is None or isinstance(small, own) else own())  # type: ignore[misc]


def _names(make: Callable[[], nn.Module]) -> set[str]:
    try:
        with torch.device("meta"):
            return set(make().state_dict())
    except Exception:  # a class that does not take this configuration has nothing to say of the checkpoint
        return set()


def _dropping(keys: list[str]) -> str:
    """The shortest list of prefixes for a recipe: whole parts of the model where nothing else is in them."""
    parents = list(dict.fromkeys(key.rpartition(".")[0] or key for key in keys))
    return "[" + ", ".join(f'"{parent}"' for parent in parents[:4]) + (", ...]" if len(parents) > 4 else "]")
