"""From torch to ONNX: one graph with pooling and stages inside, symbolic batch and token axes, nothing
machine-specific in it."""

from __future__ import annotations

import copy
from typing import Any

import onnx_ir as ir
import torch

from embedkit.errors import ExportError

from .recipe import Recipe
from .source import quiet
from .stages import EncoderGraph

OPSET = 21
INPUTS = ("input_ids", "attention_mask")
OUTPUT = "dense"


def capture(recipe: Recipe) -> ir.Model:
    """The ONNX model of a recipe: int64 (batch, tokens) ids and mask in, float32 (batch, dim) out. Raises
    `ExportError`."""
    with quiet(), torch.no_grad():
        backbone = copy.deepcopy(recipe.backbone)
        backbone.set_attn_implementation(
            "eager"
        )  # decomposed attention is what the passes after this know, and the fastest on CPU
        graph = EncoderGraph(backbone, recipe.pooling, recipe.stages).eval()
        ids = torch.full((3, 7), 5 if recipe.pad_id != 5 else 6, dtype=torch.int64)
        axes = {0: torch.export.Dim("batch"), 1: torch.export.Dim("tokens", max=recipe.max_tokens)}
        try:
            program = torch.onnx.export(
                graph,
                (ids, torch.ones_like(ids)),
                dynamo=True,
                dynamic_shapes=(axes, axes),
                input_names=list(INPUTS),
                output_names=[OUTPUT],
                opset_version=OPSET,
                verbose=False,
            )
        except Exception as error:
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise ExportError(
                f"{type(recipe.backbone).__name__}: torch cannot capture this model as a graph: {reason}"
            ) from error
    assert program is not None
    model: ir.Model = program.model
    return own_copy(model)


def own_copy(model: ir.Model) -> ir.Model:
    """A copy that shares nothing with torch, without the traces of source files that the capture leaves in it."""
    copied = ir.from_proto(ir.to_proto(model))
    _strip(copied)
    return copied


def _strip(model: ir.Model) -> None:
    model.doc_string = None
    model.metadata_props.clear()
    model.producer_name, model.producer_version = "embedkit", None
    graph = model.graph
    graph.name, graph.doc_string = "encoder", None
    graph.metadata_props.clear()
    values: list[Any] = [*graph.inputs, *graph.initializers.values()]
    for i, node in enumerate(graph.all_nodes()):
        node.doc_string = None
        node.metadata_props.clear()
        node.name = f"{node.op_type}_{i}"
        values.extend(node.outputs)
    for value in values:
        value.doc_string = None
        value.metadata_props.clear()
