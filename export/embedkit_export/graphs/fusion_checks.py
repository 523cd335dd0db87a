"""Whether a graph was fused as its model's configuration says."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from typing import Any

import onnx_ir as ir

from embedkit.errors import ExportError

NORMS = ("LayerNormalization", "SimplifiedLayerNormalization")


ACTIVATIONS = ("BiasGelu", "Gelu", "FastGelu", "QuickGelu")


def check_fused(model: ir.Model, config: Any, *, layers: int | None = None, attentions: int = 0) -> list[str]:
    """Whether the operators are those that the architecture needs. An unfused graph of an architecture that optimum
    knows is an `ExportError`; of another one there are notes.

    One Softmax is one attention: there is at least one a layer and ``attentions`` more in the stages; an activation or a
    normalisation that stands there in pieces would run several times slower than its operator. ``layers`` is how many
    of the architecture's layers the graph needs, by default all that optimum or the configuration names.
    """
    found = Counter(node.op_type for node in model.graph)
    if layers is None:
        layers = depth(config)
    norms = sum(found[name] for name in NORMS)
    activations = sum(found[name] for name in ACTIVATIONS)
    problems = []
    if layers is not None:
        wanted = layers + attentions
        if found["Softmax"] < wanted:
            problems.append(f"Softmax: expected at least {wanted} (one an attention), found {found['Softmax']}")
        if norms < layers:
            problems.append(f"LayerNormalization: expected at least {layers} (one a layer), found {norms}")
        named = _activation(config)
        if "quick_gelu" in named:  # x * sigmoid(1.702 x), which onnxruntime joins when it loads a graph
            quick = found["QuickGelu"] + found["Sigmoid"]
            if quick < layers:
                problems.append(f"quick Gelu: expected {layers} (one a layer), found {quick}")
        elif "gelu" in named and activations < layers:
            problems.append(f"Gelu: expected {layers} (one a layer), found {activations}")
    for name, whole in (("Erf", "Gelu"), ("Pow", "a normalisation or an activation")):
        if found[name]:
            problems.append(f"{name}: expected {whole} as one operator, found {found[name]} in pieces")
    if problems and _known(config):
        raise ExportError("the graph is not fused: " + "; ".join(problems))
    return [f"the graph is not as fused as it could be: {problem}" for problem in problems]


def counts(model: ir.Model) -> dict[str, int]:
    """The counts of the operators that matter."""
    found = Counter(node.op_type for node in model.graph)
    names = ("MatMul", "MatMulIntegerToFloat", "MatMulNBits", "Conv", "QLinearConv", "Softmax", *NORMS, *ACTIVATIONS)
    return {name: found[name] for name in names if found[name]}


def _known(config: Any) -> bool:
    from optimum.utils import NormalizedConfigManager

    return getattr(config, "model_type", None) in NormalizedConfigManager._conf


def depth(config: Any) -> int | None:
    """The layers of an architecture: as optimum knows it, else by the configuration's usual names."""
    from optimum.utils import NormalizedConfigManager

    if _known(config):
        known = NormalizedConfigManager.get_normalized_config_class(config.model_type)
        with suppress(AttributeError):
            return int(known(config).num_layers)
    names = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")
    return next((int(getattr(config, name)) for name in names if isinstance(getattr(config, name, None), int)), None)


def _activation(config: Any) -> str:
    names = ("hidden_act", "hidden_activation", "activation", "activation_function", "feed_forward_proj")
    return str(next((getattr(config, name) for name in names if getattr(config, name, None)), ""))
