"""The whole encoder as one torch module: backbone, pooling and stages; what is captured."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from embedkit_export.tensors import DENSE, IDS, MASK, POOL_MASK

from .vocabulary import Head, Run


class EncoderGraph(nn.Module):
    """(batch, tokens) int64 ids and masks, (batch,) int64 numbers -> (batch, dim) float32 vectors, and what ``heads`` make.

    ``inputs`` names the tensors in order. ``pools`` are concatenated; each takes (hidden, ids, mask, pool mask) or, where
    it is a module of the user's or an `AttentionPool`, (hidden, mask). Without pools there are no vectors. ``masked`` tells
    whether the pools leave out what the pool mask does, ``given`` whether the vectors are an output, or only what heads read.
    """

    def __init__(
        self,
        backbone: Any,
        inputs: Sequence[str],
        *,
        layers: Sequence[int] = (-1,),
        join: str = "concat",
        layer_weights: Sequence[float] | None = None,
        token_stages: Sequence[nn.Module] = (),
        pools: Sequence[nn.Module],
        stages: Sequence[nn.Module],
        heads: Mapping[str, Head] | None = None,
        masked: bool = True,
        given: bool = True,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.inputs, self.layers, self.join = list(inputs), list(layers), join
        shares = [1.0] * len(self.layers) if layer_weights is None else list(layer_weights)
        self.shares = [share / sum(shares) for share in shares]
        self.token_stages = nn.Sequential(*token_stages)
        self.pools = nn.ModuleList(pools)
        self.stages = nn.Sequential(*stages)
        self.heads = nn.ModuleDict(dict(heads or {}))
        self.masked, self.given = masked, given and len(self.pools) > 0
        taken = inspect.signature(backbone.forward).parameters
        self.options: dict[str, Any] = {"use_cache": False} if "use_cache" in taken else {}
        open_ended = any(one.kind is inspect.Parameter.VAR_KEYWORD for one in taken.values())
        # A module that was written by hand may do without a mask.
        self.unread = set() if open_ended else {MASK} - set(taken)
        if self.layers != [-1]:
            self.options["output_hidden_states"] = True

    @property
    def outputs(self) -> list[str]:
        """The names of what `forward` gives, in order."""
        return [*([DENSE] if self.given else []), *self.heads]

    def read(self, named: dict[str, Tensor]) -> Any:
        """What the backbone gives."""
        given = {name: tensor for name, tensor in named.items() if name != POOL_MASK and name not in self.unread}
        return self.backbone(**given, **self.options)

    def hidden(self, named: dict[str, Tensor]) -> Tensor:
        """(batch, tokens, dim) token vectors that are pooled."""
        return self._hidden(self.read(named))

    def _hidden(self, out: Any) -> Tensor:
        if self.layers != [-1]:
            states = [out.last_hidden_state if layer == -1 else out.hidden_states[layer] for layer in self.layers]
            if len(states) == 1:
                hidden: Tensor = states[0]
            else:
                hidden = self._joined(states)
        else:
            hidden = last(out)
        staged: Tensor = self.token_stages(hidden)
        return staged

    def _joined(self, states: list[Tensor]) -> Tensor:
        if self.join == "concat":
            return torch.cat(states, dim=-1)
        return torch.stack([share * state for share, state in zip(self.shares, states, strict=True)]).sum(dim=0)

    def pooled(self, hidden: Tensor, named: dict[str, Tensor]) -> Tensor:
        """(batch, 2, dim), both copies equal."""
        mask = mask_of(named, hidden)
        pool_mask = named[POOL_MASK].to(torch.float32) if POOL_MASK in named and self.masked else mask
        parts = []
        for pool in self.pools:
            if getattr(pool, "takes_ids", False):
                parts.append(pool(hidden, named.get(IDS), mask, pool_mask))
            else:
                part = pool(hidden, pool_mask)
                parts.append(part[:, None].expand(-1, 2, -1) if part.ndim == 2 else part)
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=-1)

    def staged(self, vectors: Tensor, named: Mapping[str, Tensor]) -> Tensor:
        """(batch, n, dim) through the stages; one that reads inputs (``reads``) is given these too."""
        for stage in self.stages:
            vectors = stage(vectors, *(named[name] for name in getattr(stage, "reads", ())))
        return vectors

    def forward(self, *tensors: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Each of `outputs`."""
        named = dict(zip(self.inputs, tensors, strict=True))
        out = self.read(named)
        vectors: Tensor | None = None
        made: list[Tensor] = []
        if len(self.pools):
            pooled = self.staged(self.pooled(self._hidden(out), named), named)
            vectors = pooled
            made += [pooled[:, 0]] if self.given else []
        mask = mask_of(named, last(out))
        pool_mask = named[POOL_MASK].to(torch.float32) if POOL_MASK in named else mask
        run = Run(named, last(out), mask, pool_mask, vectors)
        made += [head(run) for head in self.heads.values()]
        return made[0] if len(made) == 1 else tuple(made)


def mask_of(named: Mapping[str, Tensor], hidden: Tensor) -> Tensor:
    """(batch, tokens) floats: 1 where the item is, which is everywhere where its tokens are always as many."""
    return named[MASK].to(torch.float32) if MASK in named else torch.ones(hidden.shape[:2])


def last(out: Any) -> Tensor:
    """The last token vectors of what a backbone gives."""
    if isinstance(out, Tensor):
        return out
    hidden: Tensor = out.last_hidden_state if hasattr(out, "last_hidden_state") else out[0]
    return hidden
