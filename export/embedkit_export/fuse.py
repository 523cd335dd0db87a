"""Rewrites of a captured graph that make it faster and leave its vectors the same to the last few bits.

Only forms that measured faster on CPU are made: the attention scale moves into the query weights, the token-type row
moves into the position table, biases that need no addition of their own are folded (see `biases`), and convolutions
become products (see `convolutions`). Bias and GELU
stay apart, because onnxruntime's one operator for both was slower. Attention itself stays MatMul, Add, Softmax,
MatMul, and residual and LayerNormalization stay apart: onnxruntime's fused operators for them were slower.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from embedkit.errors import ExportError

from .convolutions import expand
from .idioms import assemble

MICROSOFT = "com.microsoft"
NORMS = ("LayerNormalization", "SimplifiedLayerNormalization")
ACTIVATIONS = ("BiasGelu", "Gelu", "FastGelu", "QuickGelu")


def fuse(model: ir.Model) -> Counter[str]:
    """Rewrite ``model`` in place; how often each rewrite was made. Its outputs keep their names."""
    with named_outputs(model):
        return +_rewrite(model)


def _rewrite(model: ir.Model) -> Counter[str]:
    made = assemble(model)
    made["convolution"] = expand(model)
    graph = model.graph
    for node in list(graph):
        if node.op_type in ("Mul", "Div") and _fold_attention_scale(graph, node):
            made["attention scale"] += 1
    for node in list(graph):
        if node.op_type == "Gelu" and _widen_gelu_bias(graph, node):
            made["Gelu bias"] += 1
    for node in list(graph):
        if node.op_type == "Gather" and _fold_token_types(graph, node):
            made["token types"] += 1
    from .biases import fold_biases  # it reads this module's helpers

    remove_unused(model)  # a node that nothing reads would count as a reader of its inputs
    made.update({name: count for name, count in fold_biases(graph).items() if count})
    remove_unused(model)
    return made


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
        if "gelu" in _activation(config) and activations < layers:
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
    names = ("MatMul", "MatMulIntegerToFloat", "MatMulNBits", "Softmax", *NORMS, *ACTIVATIONS)
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


def constant(value: ir.Value | None) -> npt.NDArray[Any] | None:
    """The numbers of an initializer, else None."""
    if value is None or value.const_value is None:
        return None
    return value.const_value.numpy()


def producer(value: ir.Value | None, *kinds: str) -> ir.Node | None:
    """The node that makes ``value`` if it is one of ``kinds`` and nothing else reads what it makes."""
    node = value.producer() if value is not None else None
    if (
        node is None
        or node.op_type not in kinds
        or len(list(node.outputs[0].uses())) != 1
        or node.outputs[0].is_graph_output()
    ):
        return None
    return node


def initializer(graph: ir.Graph, name: str, array: npt.NDArray[Any]) -> ir.Value:
    """A new initializer of the graph, or the one of this name that is there."""
    found = graph.initializers.get(name)
    if found is not None:
        return found
    tensor = ir.tensor(array, name=name)
    value = ir.Value(name=name, shape=ir.Shape(array.shape), type=ir.TensorType(tensor.dtype), const_value=tensor)
    graph.register_initializer(value)
    return value


def replace(old: ir.Value, new: ir.Value) -> None:
    """Let every reader of ``old`` read ``new``."""
    old.replace_all_uses_with(new, replace_graph_outputs=True)


@contextmanager
def named_outputs(model: ir.Model) -> Iterator[None]:
    """After the block the outputs have the names of before, whatever values they have become: a bundle asks by name."""
    graph = model.graph
    names = [out.name for out in graph.outputs]
    yield
    held = {value.name: value for node in graph for value in node.outputs}
    for out, name in zip(graph.outputs, names, strict=True):
        if out.name != name:
            if name in held:
                held[name].name = f"{name}.before"
            out.name = name


def remove_unused(model: ir.Model) -> None:
    """Drop nodes and initializers that nothing reads."""
    graph = model.graph
    for node in reversed(list(graph)):
        if all(not list(out.uses()) and not out.is_graph_output() for out in node.outputs):
            graph.remove(node, safe=True)
    for name, value in list(graph.initializers.items()):
        if not list(value.uses()) and not value.is_graph_output():
            del graph.initializers[name]


def _split_bias(node: ir.Node) -> tuple[ir.Value, npt.NDArray[Any], ir.Value] | None:
    """(other input, bias, its value) of an Add with a one-dimensional constant."""
    for i in (0, 1):
        bias = constant(node.inputs[i])
        if bias is not None and bias.ndim == 1:
            other, value = node.inputs[1 - i], node.inputs[i]
            assert other is not None
            assert value is not None
            return other, bias, value
    return None


def _fold_attention_scale(graph: ir.Graph, node: ir.Node) -> bool:
    """MatMul(q, k) * c  ->  MatMul(c q, k), with c in the weights and bias of the product that made q; also / c."""
    sides = (1,) if node.op_type == "Div" else (0, 1)
    index = next((i for i in sides if (found := constant(node.inputs[i])) is not None and found.size == 1), None)
    if index is None:
        return False
    scale = constant(node.inputs[index])
    assert scale is not None
    product = producer(node.inputs[1 - index], "MatMul")
    step = producer(product.inputs[0], "Transpose") if product else None
    step = producer(step.inputs[0], "Reshape") if step else None
    add = producer(step.inputs[0], "Add") if step else None
    parts = _split_bias(add) if add else None
    if product is None or add is None or parts is None:
        return False
    linear = producer(parts[0], "MatMul")
    weight = constant(linear.inputs[1]) if linear else None
    if linear is None or weight is None or weight.ndim != 2:
        return False
    factor = np.float32(scale.item() if node.op_type == "Mul" else 1 / scale.item())
    for owner, array, value in ((linear, weight, linear.inputs[1]), (add, parts[1], parts[2])):
        assert value is not None
        scaled = initializer(graph, f"{value.name}.scaled", (array * factor).astype(np.float32))
        owner.replace_input_with(list(owner.inputs).index(value), scaled)
    replace(node.outputs[0], product.outputs[0])
    return True


def _widen_gelu_bias(graph: ir.Graph, node: ir.Node) -> bool:
    """Gelu(x + b) with b (n,)  ->  Gelu(x + b) with b (1, 1, n), which onnxruntime leaves as it is.

    It makes one operator, BiasGelu, of the first form, and that took 1.25 times as long as Add and Gelu apart.
    """
    add = producer(node.inputs[0], "Add")
    parts = _split_bias(add) if add else None
    if add is None or parts is None or parts[0].shape is None or parts[0].shape.rank() != 3:
        return False
    index = list(add.inputs).index(parts[2])
    add.replace_input_with(index, initializer(graph, f"{parts[2].name}.wide", parts[1].reshape(1, 1, -1)))
    return True


def _uniform(value: ir.Value | None) -> int | None:
    """The one integer that fills ``value``, where that can be told."""
    array = constant(value)
    if array is not None:
        return int(array.flat[0]) if array.size and array.dtype.kind == "i" and (array == array.flat[0]).all() else None
    node = value.producer() if value is not None else None
    if node is not None and node.op_type in (
        "Expand",
        "Slice",
        "Reshape",
        "GatherElements",
        "Gather",
        "Unsqueeze",
        "Identity",
    ):
        return _uniform(node.inputs[0])
    return None


def _fold_token_types(graph: ir.Graph, node: ir.Node) -> bool:
    """(words + types[0]) + positions[p]  ->  words + (positions + types[0])[p]: one table and one addition less for
    every token."""
    table, row = constant(node.inputs[0]), _uniform(node.inputs[1])
    users = [use[0] for use in node.outputs[0].uses()]
    if table is None or row is None or table.ndim != 2 or len(users) != 1 or users[0].op_type != "Add":
        return False
    inner = users[0]
    words = next(v for v in inner.inputs if v is not node.outputs[0])
    outer_uses = [use[0] for use in inner.outputs[0].uses()]
    if len(outer_uses) != 1 or outer_uses[0].op_type != "Add":
        return False
    other = next(v for v in outer_uses[0].inputs if v is not inner.outputs[0])
    positions = producer(other, "Gather")
    places = constant(positions.inputs[0]) if positions else None
    if positions is None or places is None or words is None or places.shape[1:] != table.shape[1:]:
        return False
    value = positions.inputs[0]
    assert value is not None
    positions.replace_input_with(
        0, initializer(graph, f"{value.name}.with_type", (places + table[row]).astype(np.float32))
    )
    replace(inner.outputs[0], words)
    return True
