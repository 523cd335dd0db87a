"""Stages on vectors; the references are torch and numpy."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from embedkit_export.modules import layers


def test_small_layers_are_their_formulas() -> None:
    torch.manual_seed(0)
    x, inner = torch.randn(3, 2, 4), nn.Linear(4, 4)
    torch.testing.assert_close(layers.Normalize()(x), nn.functional.normalize(x, dim=-1))
    assert torch.equal(layers.Normalize()(torch.zeros(1, 4)), torch.zeros(1, 4)), "no length, and no NaN"
    torch.testing.assert_close(layers.Residual(inner)(x), x + inner(x))
    torch.testing.assert_close(layers.Residual(inner, nn.Tanh())(x), inner(x) + x.tanh())
    torch.testing.assert_close(layers.Gate(inner)(x), x / (1 + (-inner(x)).exp()))
    torch.testing.assert_close(layers.Shift(torch.arange(4.0))(x), x + torch.arange(4.0))


@pytest.mark.parametrize("bias", [True, False])
def test_layers_of_a_state_dict_are_torchs(bias: bool) -> None:
    linear, norm = nn.Linear(4, 3, bias=bias).half(), nn.LayerNorm(3, bias=bias)
    with torch.no_grad():
        norm.weight.normal_()
    state = {f"{name}.{key}": v for name, m in (("l", linear), ("n", norm)) for key, v in m.state_dict().items()}
    x = torch.randn(2, 4)
    torch.testing.assert_close(layers.linear(state, "l")(x), linear.float()(x))
    torch.testing.assert_close(layers.layer_norm(state, "n")(x[:, :3]), norm(x[:, :3]))
    with pytest.raises(KeyError):
        layers.linear(state, "absent")


def test_a_name_without_a_function_is_refused() -> None:
    assert torch.equal(layers.activation("relu")(torch.tensor([-1.0, 2.0])), torch.tensor([0.0, 2.0]))
    with pytest.raises(KeyError):
        layers.activation("softplus")
