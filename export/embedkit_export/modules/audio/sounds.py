"""From samples, or the energies of their bands, to tokens."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers.modeling_outputs import BaseModelOutput

from embedkit_export.modules.images.pixels import as_tokens


class FeatureBackbone(nn.Module):
    """(batch, ...) float32 ``features`` of a fixed size -> (batch, tokens, dim) ``last_hidden_state``; feature maps are read as tokens."""

    def __init__(self, body: Any) -> None:
        super().__init__()
        self.body = body
        self.config = getattr(body, "config", None)

    def forward(self, features: Tensor, output_hidden_states: bool = False) -> Any:
        """Token vectors."""
        options = {"output_hidden_states": True} if output_hidden_states else {}
        out = self.body(features, **options)
        states = getattr(out, "hidden_states", None) if output_hidden_states else None
        return BaseModelOutput(
            last_hidden_state=as_tokens(out if isinstance(out, Tensor) else out[0]),
            hidden_states=None if states is None else tuple(as_tokens(state) for state in states),
        )


class WaveBackbone(nn.Module):
    """(batch, samples) float32 ``samples``, of which convolutions leave frames, and (batch,) ``length``, how many of these are an
    item's (all where it is not given) -> (batch, frames, dim) ``last_hidden_state``."""

    def __init__(self, body: Any) -> None:
        super().__init__()
        self.body = body
        self.config = getattr(body, "config", None)

    def forward(self, samples: Tensor, length: Tensor | None = None, output_hidden_states: bool = False) -> Any:
        """Token vectors; those of frames beyond an item's are not defined."""
        hidden = self.body.feature_extractor(samples).transpose(1, 2)
        projected = self.body.feature_projection(hidden)
        hidden = projected[0] if isinstance(projected, tuple) else projected
        mask = None
        if length is not None:
            mask = frames_of(length, hidden.shape[1])
            hidden = torch.where(mask[:, :, None], hidden, torch.zeros((), dtype=hidden.dtype))
        if not output_hidden_states:
            return self.body.encoder(hidden, attention_mask=mask)
        states: list[Tensor] = []
        kept = [
            layer.register_forward_pre_hook(
                lambda _, given, named: states.append(given[0] if given else named["hidden_states"]), with_kwargs=True
            )
            for layer in self.body.encoder.layers
        ]
        try:
            last = self.body.encoder(hidden, attention_mask=mask)[0]
        finally:
            for hook in kept:
                hook.remove()
        return BaseModelOutput(last_hidden_state=last, hidden_states=(*states, last))


def frames_of(length: Tensor, count: Any) -> Tensor:
    """(batch, count) booleans: the first ``length`` of each."""
    return torch.arange(count)[None] < length[:, None]


class FirstTokens(nn.Module):
    """(batch, tokens, dim) -> (batch, 2, dim), both copies equal: the mean of the first ``count`` tokens."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """The mask is not read."""
        return hidden[:, : self.count].mean(dim=1, keepdim=True).expand(-1, 2, -1)
