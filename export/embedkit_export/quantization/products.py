"""The products of a graph that can be quantised."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from embedkit_export.graphs.ir_tools import CONVOLUTION, constant
from embedkit_export.tensors import FEATURES, SAMPLES, Floats


@dataclass(frozen=True)
class Product:
    """A MatMul of token vectors, (batch, tokens, k), (batch, height, width, k) or (batch*tokens, k), with a weight (k, n)."""

    node: ir.Node
    source: ir.Value
    weight: Floats

    @property
    def name(self) -> str:
        """The name of the value it makes."""
        return str(self.node.outputs[0].name)


def products(model: ir.Model) -> list[Product]:
    """The products that can be quantised: a constant float32 weight (k, n) on the right of a token tensor.

    A token tensor is (batch, tokens, k), (batch, height, width, k), or (rows, k) where the rows are more than the batch. A pooled tensor is
    (batch, 2, k) or (batch, k): its few rows are worth no rounding. The convolutions of a model of sounds are left out: what they
    read has a range of its own in each frame, silence beside speech, of which 8 bits leave too little.
    """
    heard = any(value.name in (FEATURES, SAMPLES) for value in model.graph.inputs)
    found = []
    first = model.graph.inputs[0].shape if model.graph.inputs else None
    batch = str(first[0]) if first is not None and first.rank() else "batch"
    for node in model.graph:
        if heard and CONVOLUTION in node.metadata_props:
            continue
        weight = constant(node.inputs[1]) if node.op_type == "MatMul" and node.domain == "" else None
        source = node.inputs[0] if weight is not None else None
        if weight is None or source is None or weight.ndim != 2 or weight.dtype != np.float32:
            continue
        if constant(source) is None and _has_tokens(source, batch):
            found.append(Product(node, source, weight))
    return found


def _has_tokens(source: ir.Value, batch: str) -> bool:
    shape = source.shape
    if shape is None:
        return False
    if shape.rank() == 3:
        return not isinstance(shape[1], int) or shape[1] > 2
    if shape.rank() == 4:  # a map, place by place
        return any(not isinstance(side, int) or side > 1 for side in list(shape)[1:3])
    return shape.rank() == 2 and not isinstance(shape[0], int) and str(shape[0]) != batch
