"""The pooling of SigLIP: a learned probe attends to the tokens."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn


class AttentiveHead(nn.Module):
    """(batch, tokens, dim) -> (batch, 2, dim), both copies equal, by a model's own head (``probe``, ``attention``,
    ``layernorm``, ``mlp``): two equal probes, for a product with one row is summed in another order."""

    def __init__(self, head: Any) -> None:
        super().__init__()
        self.head = head

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """All tokens are read."""
        probe = self.head.probe.expand(hidden.shape[0], 2, -1)
        seen = self.head.attention(probe, hidden, hidden, need_weights=False)[0]
        out: Tensor = seen + self.head.mlp(self.head.layernorm(seen))
        return out


def is_attentive(head: Any) -> bool:
    """Whether a model's head is of this kind."""
    return all(hasattr(head, name) for name in ("probe", "attention", "layernorm", "mlp"))
