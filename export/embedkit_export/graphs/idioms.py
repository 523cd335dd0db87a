"""Operators that the capture leaves in pieces, put together: layer and RMS normalisation, SiLU, tanh GELU, a product and its
bias."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np
import onnx_ir as ir
from onnxscript.rewriter import pattern
from onnxscript.rewriter.ort_fusions.rms_normalization import fuse_rms_normalization
from onnxscript.rewriter.rules.fusion._layer_norm import LayerNormFusion

MICROSOFT = "com.microsoft"


def assemble(model: ir.Model) -> Counter[str]:
    """Rewrite ``model`` in place; how often each operator was put together."""
    made: Counter[str] = Counter()
    given = model.graph.inputs[0].shape if model.graph.inputs else None
    batch = given[0] if given is not None and given.rank() else None
    for node in list(model.graph):
        if node.op_type == "Gemm" and _split_gemm(model.graph, node, batch):
            made["MatMul"] += 1
    made["SimplifiedLayerNormalization"] = int(fuse_rms_normalization(model))
    made["LayerNormalization"] = pattern.RewriteRuleSet([_LayerNorm.rule()], commute=True).apply_to_model(model)
    made["FastGelu"] = pattern.RewriteRuleSet([_TanhGelu.rule()], commute=True).apply_to_model(model)
    made["QuickGelu"] = pattern.RewriteRuleSet([_Silu.rule()], commute=True).apply_to_model(model)
    for node in model.graph:
        if node.op_type in made and node.op_type != "MatMul":  # the rewriter does not know their shapes
            first, out = node.inputs[0], node.outputs[0]
            assert first is not None
            out.shape, out.type = out.shape or first.shape, out.type or first.type
    if made["FastGelu"] or made["QuickGelu"]:
        model.opset_imports[MICROSOFT] = 1
    return +made


class _LayerNorm(LayerNormFusion):
    """(x - mean) / sqrt(variance + epsilon) * scale + bias, Ba et al. 2016."""

    def pattern(self, op: Any, x: Any, scale: Any, epsilon: Any, bias: Any) -> Any:
        return op.Add(super().pattern(op, x, scale, epsilon), bias)

    def check(self, context: Any, x: ir.Value, epsilon: ir.Value, **others: ir.Value) -> Any:
        flat = all((shape := others[name].shape) is not None and shape.rank() == 1 for name in ("scale", "bias"))
        return flat and super().check(context, x, epsilon)

    def rewrite(self, op: Any, x: Any, scale: Any, epsilon: Any, bias: Any, **_: Any) -> Any:
        return op.LayerNormalization(x, scale, bias, axis=-1, epsilon=self._epsilon, stash_type=self._stash_type)


class _TanhGelu(pattern.RewriteRuleClassBase):
    """0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))), Hendrycks and Gimpel 2016."""

    def pattern(self, op: Any, x: Any) -> Any:
        inner = op.Mul(op.Add(x, op.Mul(op.Pow(x, 3.0), 0.044715)), math.sqrt(2 / math.pi))
        return op.Mul(op.Mul(x, 0.5), op.Add(op.Tanh(inner), 1.0))

    def rewrite(self, op: Any, x: Any) -> Any:
        return op.FastGelu(x, _domain=MICROSOFT)


class _Silu(pattern.RewriteRuleClassBase):
    """x sigmoid(x)."""

    def pattern(self, op: Any, x: Any) -> Any:
        return op.Mul(x, op.Sigmoid(x))

    def check(self, context: Any, x: ir.Value, **_: Any) -> bool:
        return x.shape is not None and x.shape.rank() == 3 and not isinstance(x.shape[1], int)

    def rewrite(self, op: Any, x: Any) -> Any:
        return op.QuickGelu(x, alpha=1.0, _domain=MICROSOFT)


def _split_gemm(graph: ir.Graph, node: ir.Node, batch: Any) -> bool:
    """Reshape to rows, x W + b, reshape back  ->  MatMul and Add on (batch, tokens, k); without the reshaping, on the
    rows, if they are more than the batch."""
    before = node.inputs[0].producer() if node.inputs[0] is not None else None
    uses = list(node.outputs[0].uses())
    after = uses[0][0] if len(uses) == 1 else None
    weight = node.inputs[1].const_value if node.inputs[1] is not None else None
    number = {name: value.as_float() for name in ("alpha", "beta") if (value := node.attributes.get(name)) is not None}
    flags = [node.attributes[name].as_int() if name in node.attributes else 0 for name in ("transA", "transB")]
    if weight is None or any(value != 1.0 for value in number.values()) or flags[0]:
        return False
    if before is not None and before.op_type == "Reshape" and after is not None and after.op_type == "Reshape":
        source, out = before.inputs[0], after.outputs[0]
        rank = 3
    else:
        source, out, after = node.inputs[0], node.outputs[0], node
        rank = 2
    made_of, shape = source.shape if source is not None else None, out.shape
    if source is None or made_of is None or shape is None or shape.rank() != rank:
        return False
    if made_of.rank() not in (3, 4) if rank == 3 else isinstance(made_of[0], int) or made_of[0] == batch:
        return False
    width = int(weight.numpy().shape[flags[1]])
    apart = (
        made_of.rank() == 3 and made_of[2] != width
    )  # (tokens, batch x heads, k / heads), as torch's own attention has them
    if apart and not (rank == 3 and isinstance(made_of[2], int) and width % made_of[2] == 0):
        return False
    if made_of.rank() == 4 or apart:  # (batch, tokens, heads, k / heads): the heads are joined by the same Reshape
        joined = ir.node("Reshape", [source, _joining(graph, width, apart)], name=f"{node.name}/Reshape")
        joined.outputs[0].name = f"{out.name}.rows"
        joined.outputs[0].type = source.type
        joined.outputs[0].shape = ir.Shape([*shape.dims[:2], width])
        graph.insert_before(after, joined)
        source = joined.outputs[0]
    used = node.inputs[1]
    if flags[1]:
        array = np.ascontiguousarray(weight.numpy().T)
        used = ir.Value(
            name=f"{used.name}.transposed",  # type: ignore[union-attr]
            shape=ir.Shape(array.shape),
            type=ir.TensorType(weight.dtype),
            const_value=ir.tensor(array, name=f"{used.name}.transposed"),  # type: ignore[union-attr]
        )
        graph.register_initializer(used)
    product = ir.node("MatMul", [source, used], name=f"{node.name}/MatMul")
    last = product.outputs[0]
    last.name = f"{out.name}.product"
    last.shape, last.type = out.shape, out.type
    nodes = [product]
    if len(node.inputs) > 2 and node.inputs[2] is not None:
        add = ir.node("Add", [last, node.inputs[2]], name=f"{node.name}/Add")
        add.outputs[0].name = f"{out.name}.sum"
        nodes.append(add)
    made = nodes[-1].outputs[0]
    made.shape, made.type = out.shape, out.type
    for new in nodes:
        graph.insert_before(after, new)
    out.replace_all_uses_with(made, replace_graph_outputs=True)
    return True


def _joining(graph: ir.Graph, width: int, apart: bool) -> ir.Value:
    """The shape (as it is, as it is, width), or with as many in the middle as there are."""
    name = f"rows_of_{width}" + ("_joined" if apart else "")
    if name not in graph.initializers:
        shape = ir.tensor(np.array([0, -1 if apart else 0, width], np.int64), name=name)
        value = ir.Value(name=name, shape=ir.Shape([3]), type=ir.TensorType(ir.DataType.INT64), const_value=shape)
        graph.register_initializer(value)
    return graph.initializers[name]
