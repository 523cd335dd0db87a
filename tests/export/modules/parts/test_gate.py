"""A gate that classes decide."""

from __future__ import annotations

import torch
from torch import nn

from embedkit_export import ChoiceGate


def test_the_gate_is_the_sigmoid_of_a_layer_on_the_mean_of_rows() -> None:
    torch.manual_seed(0)
    table, layer, x = torch.randn(4, 3), nn.Linear(3, 5), torch.randn(2, 2, 5)
    gate = ChoiceGate(table, layer, ["first", "second"])
    assert gate.reads == ("first", "second")
    one, other = torch.tensor([0, 3]), torch.tensor([2, 3])
    found = gate(x, one, other)
    for row in range(2):
        mean = (table[one[row]] + table[other[row]]) / 2
        assert torch.allclose(found[row], x[row] * torch.sigmoid(layer(mean)), atol=1e-6)
    assert torch.equal(gate(x, other, one), found)
