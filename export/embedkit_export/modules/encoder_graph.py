"""The whole encoder as one torch module: backbone, pooling and stages; what is captured."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from embedkit_export.tensors import DENSE, LENGTH, MASK, POOL_MASK, SAMPLES

from .heads import Joined
from .pooling import Layers, last, pooled
from .vocabulary import Head, Run


class EncoderGraph(nn.Module):
    """(batch, tokens) int64 ids and masks, (batch,) int64 numbers -> (batch, dim) float32 vectors, and what ``heads`` make.

    ``inputs`` names the tensors in order. ``pools`` are concatenated; each takes (hidden, ids, mask, pool mask) or, where
    it is a module of the user's or an `AttentionPool`, (hidden, mask). Without pools there are no vectors. ``masked`` tells
    whether the pools leave out what the pool mask does, ``given`` whether the vectors are an output, or only what heads read.
    ``leading`` tokens of what has no masks (a picture's class token) are read and not pooled.
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
        leading: int = 0,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.inputs, self.leading = list(inputs), leading
        self.reading = Layers(layers, join, layer_weights)
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
        if self.reading.are_inner or any(head.reading.are_inner for head in self._heads):
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
        staged: Tensor = self.token_stages(self.reading(out))
        return staged

    @property
    def _heads(self) -> list[Any]:
        return list(self.heads.values())

    @property
    def layers(self) -> list[int]:
        """The hidden states that are pooled."""
        return self.reading.layers

    @property
    def join(self) -> str:
        """How several of them become one."""
        return self.reading.join

    def deepest(self, depth: int | None) -> int | None:
        """The last of ``depth`` layers that anything is made of."""
        read: list[int] = [*(self.layers if len(self.pools) else []), *(n for head in self._heads for n in head.depths)]
        if depth is None or not read:
            return depth
        return max(layer if layer >= 0 else depth + 1 + layer for layer in read)

    def pooled(self, hidden: Tensor, named: dict[str, Tensor]) -> Tensor:
        """(batch, 2, dim), both copies equal."""
        mask = mask_of(named, hidden)
        pool_mask = named[POOL_MASK].to(torch.float32) if POOL_MASK in named and self.masked else mask
        return pooled(self.pools, hidden, named, mask, pool_mask, self.leading)

    def forward(self, *tensors: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Each of `outputs`."""
        named = dict(zip(self.inputs, tensors, strict=True))
        out = self.read(named)
        vectors: Tensor | None = None
        made: dict[str, Tensor] = {}
        if len(self.pools):
            vectors = self.stages(self.pooled(self._hidden(out), named))
            if self.given:
                made[DENSE] = vectors[:, 0]
        mask = mask_of(named, last(out))
        pool_mask = named[POOL_MASK].to(torch.float32) if POOL_MASK in named else mask
        run = Run(named, last(out), mask, pool_mask, vectors, out, self.leading, made)
        for name, head in sorted(self.heads.items(), key=lambda item: isinstance(item[1], Joined)):
            made[name] = head(run)
        found = tuple(made[name] for name in self.outputs)
        return found[0] if len(found) == 1 else found


def mask_of(named: Mapping[str, Tensor], hidden: Tensor) -> Tensor:
    """(batch, tokens) floats: 1 where the item is, which is everywhere where its tokens are always as many."""
    if SAMPLES in named and LENGTH in named:
        return (torch.arange(hidden.shape[1])[None] < named[LENGTH][:, None]).to(torch.float32)
    return named[MASK].to(torch.float32) if MASK in named else torch.ones(hidden.shape[:2])
