"""Fewer layers: a model whose output is an inner hidden state of the whole one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from embedkit.errors import ExportError

_DEPTHS = ("num_hidden_layers", "n_layer", "num_layers", "n_layers")


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
