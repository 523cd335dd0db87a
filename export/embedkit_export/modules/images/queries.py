"""Learned queries that read a picture's tokens (the Q-Former of BLIP-2, Li et al. 2023)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def is_querying(body: Any) -> bool:
    """Whether a model gives a picture's vectors by queries of its own."""
    return all(hasattr(body, name) for name in ("vision_model", "qformer", "query_tokens"))


def queried(body: Any, pixel_values: Tensor) -> Tensor:
    """(batch, queries, dim): what the queries read of (batch, 3, height, width) pictures."""
    seen = body.vision_model(pixel_values=pixel_values)[0]
    queries = body.query_tokens.expand(seen.shape[0], -1, -1)
    mask = torch.ones(seen.shape[:-1], dtype=torch.long)
    out: Tensor = body.qformer(query_embeds=queries, encoder_hidden_states=seen, encoder_attention_mask=mask)[0]
    return out
