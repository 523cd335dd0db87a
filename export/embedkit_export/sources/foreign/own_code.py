"""Models whose code comes with them: buffers that today's transformers leaves unset, and parts of transformers that are
gone."""

from __future__ import annotations

import copy
import re

import torch
from torch import nn


def restore_buffers(model: nn.Module) -> list[str]:
    """Set the buffers of a model that are in no checkpoint to what its code computes, and record it.

    transformers 5 makes a model without memory and fills in what the checkpoint has; its own classes compute the rest
    again, and code that came with a model does not: tables of positions and angles would be what was in memory.
    """
    from transformers import PreTrainedModel

    records: list[str] = []
    done: set[int] = set()
    for part in model.modules():
        if not isinstance(part, PreTrainedModel) or not type(part).__module__.startswith("transformers_modules."):
            continue
        if id(part) in done:
            continue
        done |= {id(inner) for inner in part.modules()}
        own = dict(part.named_modules())
        unset = {name: found for name, inner in own.items() if (found := _unsaved(inner))}
        if not unset:
            continue
        with torch.random.fork_rng(devices=[]):
            fresh = dict(type(part)(copy.deepcopy(part.config)).named_modules())
        for name, keys in unset.items():
            for key in keys & _unsaved(fresh[name]):
                setattr(own[name], key, getattr(fresh[name], key))
        count = sum(map(len, unset.values()))
        records.append(
            f"{count} buffers of {type(part).__name__}, which are in no checkpoint, were computed by its code"
        )
    return records


def _unsaved(module: nn.Module) -> set[str]:
    """The names of a module's own buffers that no checkpoint has."""
    saved = set(module.state_dict(keep_vars=True))
    return {name for name, _ in module.named_buffers(recurse=False)} - saved


def gone(error: BaseException) -> str:
    """What to do, where a model's code needs what transformers no longer has; else nothing."""
    import transformers

    text = str(error)
    found = re.search(
        r"No module named '(transformers[\w.]*)'|cannot import name '(\w+)' from '?(transformers[\w.]*)", text
    )
    missing = ""
    if found:
        missing = found[1] or f"{found[3]}.{found[2]}"
    elif re.search(
        r"has no attribute '(get_extended_attention_mask|get_head_mask|all_tied_weights_keys|_tied_weights_keys)'", text
    ):
        missing = str(re.search(r"has no attribute '(\w+)'", text)[1])  # type: ignore[index]
    if not missing:
        return ""
    return (
        f"; the code that came with the model needs {missing}, which transformers {transformers.__version__} no longer has: load it with the "
        "transformers of its config.json (transformers_version) in another environment, save_pretrained it as a class of transformers, "
        "or change that line in its modeling file"
    )
