"""From pixels to tokens: scale and statistics, then a model's body."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers.modeling_outputs import BaseModelOutput, ModelOutput

from embedkit_export.modules.pooling import last
from embedkit_export.recipes.images import ImageInput

from .queries import is_querying, queried


class PixelBackbone(nn.Module):
    """(batch, height, width, 3) uint8 ``pixels``, or (batch, 3, height, width) float32 -> (batch, tokens, dim)
    ``last_hidden_state``; feature maps (batch, dim, h, w) are read as tokens, row by row. ``pixel_values`` (batch, 3, height,
    width) are what the body itself takes. A module that gives several things in a dict gives these."""

    def __init__(self, body: Any, given: ImageInput) -> None:
        super().__init__()
        self.body, self.image = body, given
        self.floats = given.frontend().dtype == "float32"
        self.config = getattr(body, "config", None)
        mean, std = (torch.tensor(numbers, dtype=torch.float64) for numbers in (given.mean, given.std))
        shape = (1, 3, 1, 1)
        self.register_buffer("factor", (given.scale / std).float().reshape(shape))
        self.register_buffer("shift", (-mean / std).float().reshape(shape))

    def values(self, pixels: Tensor) -> Tensor:
        """What the body takes."""
        factor, shift = self.factor, self.shift
        assert isinstance(factor, Tensor)
        assert isinstance(shift, Tensor)
        if not self.floats:
            pixels = pixels.permute(0, 3, 1, 2).to(torch.float32)
        return pixels * factor + shift

    def noise(self, count: int = 3) -> Tensor:
        """``count`` ``pixels``, each another."""
        rng, frontend = torch.Generator().manual_seed(0), self.image.frontend()
        made = torch.randint(0, 256, (count, *frontend.shape), generator=rng)
        return made.to(getattr(torch, frontend.dtype))

    def forward(
        self, pixels: Tensor | None = None, pixel_values: Tensor | None = None, output_hidden_states: bool = False
    ) -> Any:
        """Token vectors."""
        if pixel_values is None:
            assert pixels is not None
            pixel_values = self.values(pixels)
        if is_querying(self.body):
            return BaseModelOutput(last_hidden_state=queried(self.body, pixel_values))
        options = {"output_hidden_states": True} if output_hidden_states else {}
        out = self.body(pixel_values, **options)
        if isinstance(out, dict) and not isinstance(out, ModelOutput):
            return {name: as_tokens(value) for name, value in out.items()}
        hidden = last(out)
        states = getattr(out, "hidden_states", None) if output_hidden_states else None
        return BaseModelOutput(
            last_hidden_state=as_tokens(hidden),
            hidden_states=None if states is None else tuple(as_tokens(state) for state in states),
        )


def as_tokens(hidden: Tensor) -> Tensor:
    """(batch, tokens, dim) of token vectors, of feature maps (batch, dim, h, w), or of one vector a picture."""
    if hidden.ndim == 4:
        return hidden.flatten(2).transpose(1, 2)
    return hidden[:, None].expand(-1, 2, -1) if hidden.ndim == 2 else hidden
