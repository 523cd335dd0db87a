"""From torch to ONNX: one graph with pooling and stages inside, symbolic batch and token axes, nothing
machine-specific in it."""

from __future__ import annotations

import copy
from typing import Any

import onnx_ir as ir
import torch
from torch import Tensor, nn

from embedkit.errors import ExportError
from embedkit_export.plan.plan import GraphPlan, shaped
from embedkit_export.quiet import quiet, reason
from embedkit_export.tensors import IDS, MASK, POOL_MASK, TYPES

from .ir_tools import own_copy
from .masks import additive_masks, attention_alone, causal_alone
from .programs.lowering import lowered_lightly
from .programs.shortcuts import in_short

OPSET = 21
_SHAPE = (3, 7)
_LEAST_EPSILON = 1.001e-8


def capture(plan: GraphPlan, notes: list[str] | None = None) -> ir.Model:
    """The ONNX model of a planned graph: int64 (batch, tokens) ids and masks in, or what the plan's inputs say, its named outputs
    in float32. What a user should know of it is added to ``notes``. Raises `ExportError`."""
    with quiet(), torch.no_grad(), additive_masks():
        graph = _with_the_same_weights(plan.module)
        given, axes = _examples(plan, graph)
        causal = causal_alone(graph, given)
        for part in graph.backbone.modules():
            if hasattr(part, "set_attn_implementation"):
                # Decomposed attention is what the passes after this know, and the fastest on CPU.
                part.set_attn_implementation("eager")
        if hasattr(graph.backbone, "set_experts_implementation"):
            # Each token's own experts, gathered: the others run what a batch needs, or have no operator in ONNX.
            graph.backbone.set_experts_implementation("batched_mm")
        _widen_epsilons(graph)
        try:
            with lowered_lightly(), in_short(), attention_alone(causal, blind=plan.kept) as met:
                program = torch.onnx.export(
                    graph,
                    tuple(given),
                    dynamo=True,
                    dynamic_shapes={"tensors": tuple(axes)},
                    input_names=graph.inputs,
                    output_names=list(plan.outputs),
                    opset_version=OPSET,
                    verbose=False,
                )
        except Exception as error:
            raise ExportError(
                f"{type(plan.module.backbone).__name__}: torch cannot capture this model as a graph: {reason(error)}; a live model "
                "whose code was changed can be given as (model, tokenizer)"
            ) from error
    assert program is not None
    if met and notes is not None:
        notes.append(
            f"{met[0].removeprefix('backbone.')}: is causal, and its mask is not: torch lets a token see those after it only where something "
            "is padded; the bundle gives what torch gives of an item alone (set its is_causal to False if a token should see all)"
        )
    model: ir.Model = program.model
    _hold_numbers(model)
    _check_axes(model, plan)
    return own_copy(model)


def _hold_numbers(model: ir.Model) -> None:
    """Let the graph hold its weights' numbers where they are, and not the parameters of torch that have them too."""
    for value in model.graph.initializers.values():
        tensor = value.const_value
        if isinstance(tensor, ir.Tensor) and isinstance(tensor.raw, Tensor):  # of torch's own class, or of onnx_ir's
            value.const_value = ir.tensor(tensor.numpy(), name=value.name)


def _with_the_same_weights(module: Any) -> Any:
    """A copy whose settings may be changed; its weights, which nothing changes here, are the module's own."""
    kept = {id(weight): weight for weight in (*module.parameters(), *module.buffers())}
    return copy.deepcopy(module, kept)


def _examples(plan: GraphPlan, graph: Any) -> tuple[list[Tensor], list[dict[int, Any]]]:
    """An example of each input, without padding, and which of its axes are free."""
    batch = torch.export.Dim("batch")
    tokens: Any = torch.export.Dim("tokens", max=plan.max_tokens)
    shape = _SHAPE
    if plan.fixed is not None:
        tokens, shape = plan.fixed, (_SHAPE[0], plan.fixed)
    named = {axis: torch.export.Dim(axis, max=most) for axis, most in plan.axes.items()}
    given, axes = [], []
    for name in graph.inputs:
        if name in plan.shapes:
            given.append(shaped(plan, name, shape[0]))
            free = {
                axis: named[n] if isinstance(n, str) else torch.export.Dim(f"{name}_{axis}")
                for axis, n in enumerate(plan.shapes[name], 1)
                if not isinstance(n, int)
            }
            axes.append({0: batch} | free)
            continue
        whole = name in (IDS, MASK, POOL_MASK, TYPES)
        given.append(_example(name, shape if whole else shape[:1], plan.pad_id))
        axes.append(({0: batch, 1: tokens} if plan.fixed is None else {0: batch}) if whole else {0: batch})
    return given, axes


def _check_axes(model: ir.Model, plan: GraphPlan) -> None:
    """Raise `ExportError` where the model's code made one number of an axis that must be free."""
    for value in model.graph.inputs:
        dims = list(value.shape.dims) if value.shape is not None else []
        known = 1 if plan.fixed is not None or value.name in plan.shapes else 2
        stated = {axis for axis, n in enumerate(plan.shapes.get(str(value.name), ()), 1) if not isinstance(n, int)}
        places = {*range(known), *stated}
        for place, (axis, dim) in enumerate(zip(("batch", "tokens"), dims, strict=False)):
            if place in places and isinstance(dim, int):
                raise ExportError(
                    f"{type(plan.module.backbone).__name__}: the captured graph takes {axis} = {dim} only, because the model's code "
                    "counts with that number; "
                    + (
                        "a fixed length (pad = N in the recipe) can be exported"
                        if axis == "tokens"
                        else "it cannot be exported"
                    )
                )


def _widen_epsilons(module: nn.Module) -> None:
    """Numbers up to 1e-8 are zero to onnxscript, which leaves out their addition: a norm of a row of zeros, such as
    padding, would be NaN."""
    for part in module.modules():
        for name, value in vars(part).items():
            if "eps" in name and isinstance(value, float) and 0 < value < _LEAST_EPSILON:
                setattr(part, name, _LEAST_EPSILON)


def _example(name: str, shape: tuple[int, ...], pad_id: int) -> Tensor:
    if name == IDS:
        return torch.full(shape, 5 if pad_id != 5 else 6, dtype=torch.int64)
    return torch.ones(shape, dtype=torch.int64) if name in (MASK, POOL_MASK) else torch.zeros(shape, dtype=torch.int64)
