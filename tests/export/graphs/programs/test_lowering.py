"""Operators that ONNX has no function for."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from embedkit_export.graphs.programs.lowering import is_known, lowered_lightly

X = torch.tensor([[1, -2, 3, 4, 0, 6], [7, 8, -9, 1, 2, 3]])


class Program(nn.Module):
    def __init__(self, compute: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.compute = compute

    def forward(self, x: Tensor) -> Any:
        return self.compute(x)


def _exported(compute: Callable[[Tensor], Any], free: int | None) -> torch.export.ExportedProgram:
    shapes = None if free is None else ({free: torch.export.Dim("free")},)
    return torch.export.export(Program(compute).eval(), (X,), dynamic_shapes=shapes, strict=False)


def _model(program: torch.export.ExportedProgram, *, lightly: bool) -> ir.Model:
    with lowered_lightly() if lightly else nullcontext():
        made = torch.onnx.export(program, dynamo=True, verbose=False, opset_version=21)
    assert made is not None
    return made.model


def _run_all(model: ir.Model, x: Tensor) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(ir.to_proto(model).SerializeToString())
    return [np.asarray(one) for one in session.run(None, {session.get_inputs()[0].name: x.numpy()})]


def _run(model: ir.Model, x: Tensor) -> np.ndarray:
    return _run_all(model, x)[0]


KNOWN = {
    "casts and one minus": lambda x: (1.0 - x.to(torch.float32)) * 2,
    "a cast to what it is": lambda x: x.to(torch.int64) + x.to("cpu"),
    "a view of what is turned": lambda x: (
        x.float().transpose(0, 1).contiguous().view(6, -1) + x.transpose(0, 1).reshape(6, -1)
    ),
    "parts": lambda x: torch.cat([part + i for i, part in enumerate(x.chunk(4, dim=1))], dim=1),
    "dropout": lambda x: nn.functional.dropout(x.float(), 0.5, training=False),
    "the smaller and the larger": lambda x: torch.min(x, 3 - x) + torch.max(x, x * x),
    "the place of the largest": lambda x: x.argmax(dim=1, keepdim=True) + x.argmax(),
    "what is changed in place and read once": lambda x: (x.float() @ torch.ones(6, 4)).add_(2.0),
    "a table that is turned": lambda x: x.float() @ torch.arange(12.0).view(2, 6).T,
    "a number for what is not taken": lambda x: torch.where(x > 0, x, -7),
    "more places, and a logarithm": lambda x: torch.log1p(nn.functional.pad(torch.relu(x.float()), (0, 2))) > 1.5,
    "one row of each": lambda x: x.view(-1, 3, 2)[torch.arange(x.shape[0]), x.view(-1, 3, 2).argmax(dim=1)[:, 0]],
    "fewer axes": lambda x: x.view(-1, 3, 2).flatten(1) + x.view(-1, 3, 2).transpose(1, 2).flatten(-2, -1),
    "bits": lambda x: ((x > 0) & (x < 5) | (x == 0)).to(torch.int64),
}


def test_what_is_lowered_here_computes_the_same_as_what_torch_lowers() -> None:
    def all_of_them(x: Tensor) -> tuple[Tensor, ...]:  # in one program, since an export takes seconds
        return tuple(compute(x) for compute in KNOWN.values())

    program = _exported(all_of_them, 0)
    assert is_known(program)
    light, whole = _model(program, lightly=True), _model(_exported(all_of_them, 0), lightly=False)
    assert len(list(light.graph)) <= len(list(whole.graph)) + 1  # a view of a sum is a sum of views to torch
    for x in (X, X[:1], torch.cat([X, 2 * X, -X])):
        for name, expected, one, other in zip(
            KNOWN, all_of_them(x), _run_all(light, x), _run_all(whole, x), strict=True
        ):
            assert np.array_equal(one, expected.numpy()), name
            assert np.array_equal(other, expected.numpy()), name


def test_what_is_not_known_is_left_to_torch() -> None:
    def in_place(x: Tensor) -> Tensor:
        out = x + 1
        assert isinstance(out, Tensor)
        out[:, 1:3].add_(5)
        return out

    def other(x: Tensor) -> Tensor:
        return torch.special.log_softmax(x.float(), 1)

    for compute, free in ((in_place, 0), (other, 0)):
        program = _exported(compute, free)
        assert not is_known(program)
    light = _model(_exported(in_place, 0), lightly=True)
    assert np.array_equal(_run(light, 3 * X), in_place(3 * X).numpy())


def test_torch_is_as_it_was_afterwards() -> None:
    before = torch.export.ExportedProgram.run_decompositions
    with pytest.raises(RuntimeError, match="within"), lowered_lightly():
        assert torch.export.ExportedProgram.run_decompositions is not before
        raise RuntimeError("within")
    assert torch.export.ExportedProgram.run_decompositions is before
