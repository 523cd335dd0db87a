"""The tensors of an item's parts come to the arguments of a body."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from embedkit_export.modules.parts.backbone import VALUES, PartsBackbone
from embedkit_export.recipes.images import ImageInput

IMAGE = ImageInput(size=[4, 4], mean=[0.5] * 3, std=[0.25] * 3)


class Body(nn.Module):
    def forward(self, pixel_values: Tensor, text: Tensor) -> Tensor:
        return pixel_values.mean(dim=(2, 3)) + text.sum(dim=1, keepdim=True)


def made(body: Any = None) -> PartsBackbone:
    examples = {"picture": ((4, 4, 3), "uint8", 0), "text": ((6,), "int64", 1)}
    return PartsBackbone(body or Body(), {"picture": "pixel_values", "text": "text"}, {"picture": IMAGE}, examples)


def test_pixels_are_scaled_and_what_is_scaled_is_left() -> None:
    pixels = torch.randint(0, 256, (2, 4, 4, 3), dtype=torch.uint8)
    text = torch.tensor([[1, 2], [3, 4]])
    values = (pixels.permute(0, 3, 1, 2) / 255 - 0.5) / 0.25
    expected = values.mean(dim=(2, 3)) + text.sum(dim=1, keepdim=True)
    found = made()(picture=pixels, text=text, read_by_a_stage=text).last_hidden_state
    assert found.shape == (2, 2, 3), "a vector counts as two equal tokens"
    assert torch.allclose(found[:, 0], expected, atol=1e-5)
    assert torch.equal(found[:, 0], found[:, 1])
    again = made()(**{"picture" + VALUES: values}, text=text).last_hidden_state
    assert torch.allclose(again, found, atol=1e-5)


def test_examples_are_zeros_and_masks_of_ones() -> None:
    found = made().examples(3)
    assert {name: (tuple(one.shape), one.dtype, int(one.max())) for name, one in found.items()} == {
        "picture": ((3, 4, 4, 3), torch.uint8, 0),
        "text": ((3, 6), torch.int64, 1),
    }
