"""Equal graphs captured once: of the seconds that a small export takes, nearly all are spent in torch's exporter."""

from __future__ import annotations

import copyreg
import hashlib
import io
import pickle
from collections.abc import Callable
from typing import Any

import onnx_ir as ir
import torch
from transformers import PreTrainedConfig

from embedkit_export.plan.plan import GraphPlan

_LARGEST = 16 << 20  # bytes of weights of what is kept


class Captures:
    """Calls ``capture`` for a plan unless an equal one was captured before: equal classes, settings and weights."""

    def __init__(self, capture: Callable[[GraphPlan, list[str]], ir.Model]) -> None:
        self.capture = capture
        self.kept: dict[str, tuple[ir.Model, list[str]]] = {}
        self.hits = 0

    def __call__(self, plan: GraphPlan, notes: list[str] | None = None) -> ir.Model:
        notes = [] if notes is None else notes
        key = _key(plan)
        if key is None:
            return self.capture(plan, notes)
        if key in self.kept:
            self.hits += 1
        else:
            own: list[str] = []
            self.kept[key] = self.capture(plan, own), own
        model, said = self.kept[key]
        notes += said
        return model.clone()


def _key(plan: GraphPlan) -> str | None:
    """A hash of all that a plan holds, or None where it holds what cannot be written down, or too much."""
    tensors = [*plan.module.parameters(), *plan.module.buffers()]
    if sum(tensor.nbytes for tensor in tensors) > _LARGEST:
        return None
    seen: dict[int, int] = {}
    shared = [seen.setdefault(tensor.data_ptr(), i) for i, tensor in enumerate(tensors)]
    out = io.BytesIO()
    pickler = _Pickler(out)
    pickler.fast = True  # equal strings are written equally, whether or not they are one object
    try:
        pickler.dump((plan, shared))
    except Exception:  # a local class, a hook, a module of another's code
        return None
    return hashlib.sha256(out.getvalue()).hexdigest()


class _Pickler(pickle.Pickler):
    """Writes tensors by value, and of models and configurations all but the folder that they came from."""

    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            data = value.detach().cpu().contiguous().view(torch.uint8) if value.ndim else value.detach().reshape(1)
            return str, (
                repr((type(value), value.dtype, tuple(value.shape))) + hashlib.sha256(data.numpy()).hexdigest(),
            )
        if isinstance(value, torch.nn.Module | PreTrainedConfig):
            state = {name: part for name, part in vars(value).items() if name not in ("name_or_path", "_name_or_path")}
            return copyreg.__newobj__, (type(value),), state  # type: ignore[attr-defined]
        return NotImplemented
