"""Static int8 of convolutions, against numpy and torch."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
import torch
from torch import nn

from embedkit_export.graphs.ir_tools import own_copy
from embedkit_export.graphs.programs.shortcuts import in_short
from embedkit_export.quantization.calibration.sessions import open_session
from embedkit_export.quantization.convolutions import (
    Convolution,
    Scale,
    are_most,
    choose,
    convolutions,
    static_int8,
)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.parts = nn.Sequential(
            nn.Conv2d(3, 8, 3, stride=2, padding=1),
            nn.ReLU6(),
            nn.Conv2d(8, 8, 5, padding=2, groups=8),
            nn.ReLU(),
            nn.Conv2d(8, 12, 3, dilation=2, groups=2),
            nn.SiLU(),
            nn.Conv2d(12, 6, 1, bias=False),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.parts(x).flatten(2).mean(dim=2)


@pytest.fixture(scope="module")
def model() -> ir.Model:
    given = torch.randn(2, 3, 24, 20)
    axes = {0: torch.export.Dim("batch")}
    with in_short():
        program = torch.onnx.export(
            Net().eval(), (given,), dynamo=True, dynamic_shapes=(axes,), opset_version=21, verbose=False
        )
    assert program is not None
    return own_copy(program.model)


def feeds(count: int, model: ir.Model, seed: int = 1) -> list[dict[str, np.ndarray]]:
    rng = np.random.default_rng(seed)
    name = str(model.graph.inputs[0].name)
    return [{name: rng.standard_normal((1, 3, 24, 20)).astype(np.float32)} for _ in range(count)]


def outputs(model: ir.Model, given: list[dict[str, np.ndarray]]) -> np.ndarray:
    session = open_session(model)
    return np.concatenate([session.run(None, feed)[0] for feed in given])


def test_what_a_kernel_meets(model: ir.Model) -> None:
    for one, part in zip(convolutions(model), [p for p in Net().parts if isinstance(p, nn.Conv2d)], strict=True):
        values = torch.randn(1, part.in_channels, 13, 11)
        out = nn.functional.conv2d(
            values, torch.from_numpy(one.weight), None, part.stride, part.padding, part.dilation, part.groups
        )
        places = np.arange(out.shape[2] * out.shape[3])
        met = one.met(values.numpy(), places)
        found = np.einsum("gpk,gkn->gnp", met, one.columns()).reshape(out.shape[1:])
        assert np.abs(found - out[0].detach().numpy()).max() < 1e-4


def test_all_become_integers_and_stay_near(model: ir.Model) -> None:
    choices = choose(model, feeds(24, model))
    given = feeds(12, model, 2)
    exact = outputs(model, given)
    made = own_copy(model)
    assert static_int8(made, choices) == 4
    kinds = [node.op_type for node in made.graph]
    assert kinds.count("QLinearConv") == 4
    assert "Conv" not in kinds
    assert "ConvInteger" not in kinds
    assert "Clip" not in kinds, "the range of the numbers does what it did"
    found = outputs(made, given)
    assert np.abs(found - exact).max() < 0.05 * np.abs(exact).max()
    name = str(model.graph.inputs[0].name)
    together = open_session(made).run(None, {name: np.concatenate([feed[name] for feed in given])})[0]
    assert together.tobytes() == found.tobytes(), "the same bytes in any batch"


def test_rounding_for_the_output_is_nearer(model: ir.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    given = feeds(48, model, 3)
    exact = outputs(model, given)

    def error(sample: list[dict[str, np.ndarray]]) -> float:
        made = own_copy(model)
        static_int8(made, choose(model, sample))
        return float(np.square(outputs(made, given) - exact).mean())

    rounded = error(feeds(24, model))
    monkeypatch.setattr("embedkit_export.quantization.convolutions._MOMENT_BYTES", 0)
    assert rounded < error(feeds(24, model))


def test_the_first_stay_in_fp32(model: ir.Model) -> None:
    choices = choose(model, feeds(4, model))
    made = own_copy(model)
    assert static_int8(made, choices, keep=list(choices)[:1]) == 3
    assert next(node.op_type for node in made.graph if "Conv" in node.op_type) == "Conv"
    assert static_int8(own_copy(model), choices, keep=list(choices)) == 0


def test_whether_they_are_most_of_the_work(model: ir.Model) -> None:
    assert are_most(model)
    assert all(isinstance(one, Convolution) and one.work > 0 for one in convolutions(model))
    without = own_copy(model)
    for node in list(without.graph):
        if node.op_type == "Conv":
            node.op_type = "Other"
    assert not are_most(without)
    assert choose(without, feeds(2, without)) == {}


@pytest.mark.parametrize(("low", "high"), [(-1.0, 2.0), (0.5, 2.0), (-3.0, -1.0), (0.0, 0.0)])
def test_a_scale_has_zero_exactly(low: float, high: float) -> None:
    scale = Scale.of(low, high)
    assert scale.step > 0
    assert (0.0 - 0.0) / scale.step + scale.zero == scale.zero
    for value in (low, high):
        number = np.clip(np.rint(value / scale.step) + int(scale.zero), 0, 255)
        assert abs((number - int(scale.zero)) * scale.step - value) <= scale.step
