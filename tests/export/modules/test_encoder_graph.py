"""A backbone with pooling and stages as one module; the reference is the same by hand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from embedkit_export.modules.encoder_graph import EncoderGraph, last
from embedkit_export.modules.pooling import Pool


class Backbone(nn.Module):
    """Two states of each token; no mask is read."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.layer = nn.Embedding(9, 4), nn.Linear(4, 4)

    def forward(self, input_ids: torch.Tensor, output_hidden_states: bool = False) -> Any:
        first = self.table(input_ids)
        return SimpleNamespace(last_hidden_state=self.layer(first), hidden_states=[first, self.layer(first)])


IDS = torch.tensor([[3, 4, 5], [6, 7, 0]])
MASK = torch.tensor([[1, 1, 1], [1, 1, 0]])


@pytest.mark.parametrize("join", ["concat", "mean"])
def test_layers_are_joined_and_pooled(join: str) -> None:
    backbone = Backbone()
    stage = nn.Linear(8 if join == "concat" else 4, 3)
    module = EncoderGraph(
        backbone, ["input_ids", "attention_mask"], layers=[0, -1], join=join, layer_weights=[1, 3],
        pools=[Pool("mean")], stages=[stage],
    )  # fmt: skip
    found = module(IDS, MASK)
    for i, length in enumerate((3, 2)):
        first = backbone.table(IDS[i, :length])
        second = backbone.layer(first)
        joined = torch.cat([first, second], dim=-1) if join == "concat" else 0.25 * first + 0.75 * second
        torch.testing.assert_close(found[i], stage(joined.mean(0)))


def test_a_pool_of_the_users_sees_what_is_kept() -> None:
    class First(nn.Module):
        def forward(self, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            return (hidden * mask[:, :, None]).sum(1)

    backbone = Backbone()
    names = ["input_ids", "attention_mask", "pool_mask"]
    kept = torch.tensor([[0, 1, 0], [1, 0, 0]])
    hidden = backbone(IDS).last_hidden_state
    found = EncoderGraph(backbone, names, pools=[First()], stages=[])(IDS, MASK, kept)
    torch.testing.assert_close(found, hidden[[0, 1], [1, 0]])
    unmasked = EncoderGraph(backbone, names, pools=[First()], stages=[], masked=False)(IDS, MASK, kept)
    torch.testing.assert_close(unmasked, (hidden * MASK[:, :, None]).sum(1))


def test_outputs_have_an_order_and_a_count() -> None:
    module = EncoderGraph(Backbone(), ["input_ids"], pools=[], stages=[])
    assert module.outputs == []
    with pytest.raises(ValueError, match="zip"):
        module(IDS, MASK)


def test_what_a_backbone_gives_has_one_last_state() -> None:
    x = torch.ones(1)
    assert last(x) is last((x, None)) is last(SimpleNamespace(last_hidden_state=x)) is x
