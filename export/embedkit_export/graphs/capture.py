"""From torch to ONNX: one graph with pooling and stages inside, symbolic batch and token axes, nothing
machine-specific in it."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import onnx_ir as ir
import torch
from torch import Tensor, nn

from embedkit.errors import ExportError
from embedkit_export.modules.parts.backbone import PartsBackbone
from embedkit_export.plan.plan import GraphPlan, shaped
from embedkit_export.quiet import quiet, reason
from embedkit_export.tensors import IDS, MASK, POOL_MASK, TYPES

from .exporter import in_short
from .ir_tools import own_copy
from .lowering import lowered_lightly

OPSET = 21
_SHAPE = (3, 7)
_LEAST_EPSILON = 1.001e-8


def capture(plan: GraphPlan) -> ir.Model:
    """The ONNX model of a planned graph: int64 (batch, tokens) ids and masks in, or what the plan's inputs say, its named outputs
    in float32. Raises `ExportError`."""
    with quiet(), torch.no_grad(), _additive_masks(), _blind_rows() if plan.kept else nullcontext():
        graph = copy.deepcopy(plan.module)
        inner: Any = graph.backbone.modules() if isinstance(graph.backbone, PartsBackbone) else [graph.backbone]
        for part in inner:
            if hasattr(part, "set_attn_implementation"):
                # Decomposed attention is what the passes after this know, and the fastest on CPU.
                part.set_attn_implementation("eager")
        if hasattr(graph.backbone, "set_experts_implementation"):
            # Each token's own experts, gathered: the others run what a batch needs, or have no operator in ONNX.
            graph.backbone.set_experts_implementation("batched_mm")
        _widen_epsilons(graph)
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
        try:
            with lowered_lightly(), in_short():
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
    model: ir.Model = program.model
    _check_axes(model, plan)
    return own_copy(model)


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


@contextmanager
def _additive_masks() -> Iterator[None]:
    """While a graph is captured, transformers makes its attention masks by arithmetic: a row of padding that is
    broadcast, added to a pattern of (tokens, tokens) only where the architecture has one (causal, local).

    Its own masks have a full (batch, 1, tokens, tokens) pattern of booleans, which costs a pass over all scores.
    """
    from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS as FUNCTIONS

    before = FUNCTIONS["eager"]
    FUNCTIONS["eager"] = _additive_mask
    try:
        yield
    finally:
        FUNCTIONS["eager"] = before


def _additive_mask(
    batch_size: int,
    q_length: int,
    kv_length: int,
    q_offset: int = 0,
    kv_offset: int = 0,
    mask_function: Callable[..., Any] | None = None,
    attention_mask: Tensor | None = None,
    dtype: torch.dtype = torch.float32,
    device: Any = "cpu",
    **_: Any,
) -> Tensor | None:
    """What `transformers.masking_utils.eager_mask` returns, added up from its parts."""
    lowest = torch.finfo(dtype).min
    rows = torch.arange(q_length, device=device)[None, None, :, None] + q_offset
    columns = torch.arange(kv_length, device=device)[None, None, None, :] + kv_offset
    zero = torch.zeros((1, 1, 1, 1), dtype=torch.int64, device=device)
    seen = mask_function(zero, zero, rows, columns) if mask_function is not None else None
    out: Tensor | None = None
    if isinstance(seen, Tensor) and seen.shape[-1] != 1:  # a pattern that looks at no column lets every token see all
        out = (1.0 - seen.to(dtype)) * lowest
    if attention_mask is not None:
        padding = (1.0 - attention_mask.to(dtype))[:, None, None, :] * lowest
        # Two such numbers would add up to minus infinity, and a row of these to NaN.
        out = padding if out is None else torch.maximum(out + padding, torch.tensor(lowest, dtype=dtype))
    return out


@contextmanager
def _blind_rows() -> Iterator[None]:
    """While a graph is captured, a token that sees no other (padding that is kept, further from the text than a local
    pattern reaches) takes nothing from its attention, as in torch's own; not the mean of all."""
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS as FUNCTIONS

    def attention(module: Any, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, **options: Any) -> Any:
        plain = sys.modules[type(module).__module__].eager_attention_forward
        out, weights = plain(module, query, key, value, mask, **options)
        if mask is None or mask.shape[-2] == 1:
            return out, weights
        sees = (mask.amax(dim=-1) > torch.finfo(mask.dtype).min / 2).to(out.dtype)  # (batch, 1, tokens)
        return out * sees.transpose(1, 2)[..., None], weights

    FUNCTIONS["eager"] = attention
    try:
        yield
    finally:
        del FUNCTIONS["eager"]
