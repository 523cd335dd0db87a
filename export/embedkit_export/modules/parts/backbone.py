"""From the tensors of an item's parts to a model's body, and to token vectors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from transformers.modeling_outputs import BaseModelOutput

from embedkit_export.modules.images.pixels import PixelBackbone, as_tokens
from embedkit_export.recipes.images import ImageInput

VALUES = ".values"
"""Behind the name of a picture's input: that it is what the body itself takes, and no pixels."""


class PartsBackbone(nn.Module):
    """Tensors by the names of the graph's inputs -> (batch, tokens, dim) ``last_hidden_state``, by a body that takes them under
    the names of ``arguments``; inputs that are not among these are read by stages alone.

    Pixels become what the body takes of a picture, (batch, 3, height, width), by ``images``. Vectors
    (batch, dim) that the body gives count as two equal tokens, maps (batch, dim, h, w) as h * w.
    """

    def __init__(
        self,
        body: Any,
        arguments: Mapping[str, str],
        images: Mapping[str, ImageInput],
        examples: Mapping[str, tuple[tuple[int, ...], str, int]],
    ) -> None:
        super().__init__()
        self.body, self.arguments = body, dict(arguments)
        self.config = getattr(body, "config", None)
        self.pixels = nn.ModuleDict({name: PixelBackbone(nn.Identity(), given) for name, given in images.items()})
        self._examples = dict(examples)

    def examples(self, rows: int) -> dict[str, Tensor]:
        """Tensors of ``rows`` items that any model can read: zeros, and masks of ones."""
        return {
            name: torch.full((rows, *shape), value, dtype=getattr(torch, dtype))
            for name, (shape, dtype, value) in self._examples.items()
        }

    def forward(self, output_hidden_states: bool = False, **named: Tensor) -> Any:
        """Token vectors."""
        given: dict[str, Any] = {}
        for name, tensor in named.items():
            own = name.removesuffix(VALUES)
            if own not in self.arguments:
                continue
            if name in self.pixels:
                scale: Any = self.pixels[name]
                tensor = scale.values(tensor)
            given[self.arguments[own]] = tensor
        options = {"output_hidden_states": True} if output_hidden_states else {}
        out = self.body(**given, **options)
        hidden = (
            out if isinstance(out, Tensor) else out.last_hidden_state if hasattr(out, "last_hidden_state") else out[0]
        )
        states = getattr(out, "hidden_states", None) if output_hidden_states else None
        return BaseModelOutput(
            last_hidden_state=as_tokens(hidden),
            hidden_states=None if states is None else tuple(as_tokens(state) for state in states),
        )
