"""Types of a program that mixes them, and torch's table of functions."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable

import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest
import torch
from torch import Tensor, nn
from torch.onnx._internal.exporter._registration import ONNXRegistry
from torch.onnx._internal.fx.passes import type_promotion

from embedkit_export.graphs.programs.shortcuts import in_short

X = torch.tensor([[1, -2, 3, 4, 0, 6], [7, 8, -9, 1, 2, 3]])
HALVES = torch.arange(6, dtype=torch.float32) / 2
MIXED: dict[str, Callable[[Tensor], Tensor]] = {
    "integers and floats": lambda x: x * HALVES + x,
    "a quotient of integers": lambda x: x / 4,
    "a float and an integer number": lambda x: x.float() * 3 - 1,
    "a mean of integers as floats": lambda x: (x + 0.5).mean(dim=1),
    "a sum of truths": lambda x: (x > 0).sum(dim=1) * HALVES[:1],
    "a choice between two types": lambda x: torch.where(x > 1, x, HALVES),
    "a root of integers": lambda x: torch.sqrt(x * x),
    "powers": lambda x: x.float() ** 2 + x**2,
    "nothing mixed": lambda x: x + x,
}


class Program(nn.Module):
    """All that is mixed, each an output, since a program alone is an export of seconds."""

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return tuple(compute(x) for compute in MIXED.values())


def _model() -> ir.Model:
    shapes = ({0: torch.export.Dim("free")},)
    program = torch.export.export(Program().eval(), (X,), dynamic_shapes=shapes, strict=False)
    made = torch.onnx.export(program, dynamo=True, verbose=False, opset_version=21)
    assert made is not None
    return made.model


def test_types_are_promoted_as_torch_does_it() -> None:
    with in_short():
        short = _model()
    whole = _model()
    assert [node.op_type for node in short.graph] == [node.op_type for node in whole.graph]
    session = onnxruntime.InferenceSession(ir.to_proto(short).SerializeToString())
    for x in (X, X[:1], torch.cat([X, 2 * X, -X])):
        all_found = session.run(None, {session.get_inputs()[0].name: x.numpy()})
        for (name, compute), found in zip(MIXED.items(), all_found, strict=True):
            expected = compute(x).numpy()
            assert found.dtype == expected.dtype, name
            assert np.allclose(found, expected, rtol=1e-6, atol=0), name


def test_a_program_that_does_not_say_what_its_nodes_give_is_run_by_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = []
    whole = torch.fx.Interpreter.run

    def counted(self: torch.fx.Interpreter, *args: object) -> object:
        runs.append(args)
        return whole(self, *args)

    monkeypatch.setattr(torch.fx.Interpreter, "run", counted)
    for told in (True, False):
        runs.clear()
        with in_short():
            interpreter = type_promotion._TypePromotionInterpreter
            graph = torch.export.export(Program(), (X,), strict=False).graph_module
            if not told:
                next(node for node in graph.graph.nodes if node.op == "placeholder").meta.pop("val")
            promoted = interpreter(graph, type_promotion.TypePromotionTable())
            if told:
                assert promoted.run(X) is None
            else:
                with pytest.raises(Exception, match=r"."):  # numbers where torch's own pass has what stands for them
                    promoted.run(X)
        assert bool(runs) is not told


def test_no_captured_program_is_kept_with_its_weights() -> None:
    with in_short():
        graph = weakref.ref(_model().graph)
    gc.collect()
    assert graph() is None


def test_torch_is_left_as_it_was() -> None:
    before = ONNXRegistry.__dict__["from_torchlib"], type_promotion._TypePromotionInterpreter.run
    with in_short():
        assert ONNXRegistry.from_torchlib(opset_version=21) is ONNXRegistry.from_torchlib(opset_version=21)
    after = ONNXRegistry.__dict__["from_torchlib"], type_promotion._TypePromotionInterpreter.run
    assert after == before
    assert "run" not in vars(type_promotion._TypePromotionInterpreter)
