"""A model's own heads run over token vectors, and its words in parts."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from transformers.modeling_outputs import BaseModelOutputWithPooling

from .pooling import Layers

_HANDED: dict[int, Any] = {}
"""What a stand-in for a backbone gives, while a head is called; not an attribute, for a capture would look at it."""


_WORDS_AT_ONCE = 1024


@dataclass(frozen=True)
class Run:
    """What heads are given: the input tensors by name, the last token vectors (batch, tokens, dim), the (batch, tokens)
    float masks of tokens that are read and that are kept, and, where the graph pools, the vectors (batch, 2, dim), both
    copies equal."""

    named: Mapping[str, Tensor]
    hidden: Tensor
    mask: Tensor
    pool_mask: Tensor
    vectors: Tensor | None = None
    out: Any = None
    """What the backbone gives, whole."""
    leading: int = 0
    """Tokens at the beginning that are left out, of what has no masks."""
    made: dict[str, Tensor] = field(default_factory=dict)
    """(batch, dim) dense outputs that were made before, by name."""


class Head(nn.Module):
    """One more output of a graph."""

    takes_pool_mask = False
    """Whether the graph needs to know which tokens are left out."""
    reading = Layers()
    """The hidden states that are read."""

    @property
    def depths(self) -> list[int]:
        """The numbers of these hidden states; none where the head reads the pooled vector, or something else."""
        return self.reading.layers

    def forward(self, run: Run) -> Tensor:
        """The tensor of this output."""
        raise NotImplementedError


class _FirstToken(nn.Module):
    """A pooler made of a layer and its activation: (batch, tokens, dim) -> (batch, dim)."""

    def __init__(self, layer: nn.Module, function: nn.Module) -> None:
        super().__init__()
        self.layer, self.function = layer, function

    def forward(self, hidden: Tensor) -> Tensor:
        """Of the first token."""
        out: Tensor = self.function(self.layer(hidden[:, 0]))
        return out


class _Out(BaseModelOutputWithPooling):  # type: ignore[misc]
    """What a backbone gives beside these two (caches, attentions) is None."""

    def __getattr__(self, name: str) -> None:
        """Called for what is not there."""
        if name.startswith("_"):
            raise AttributeError(name)


class _Place:
    """What a stand-in is known by, also where a capture puts another object around a module."""


class _Given(nn.Module):
    """Stands where the backbone is in a model with a head, and gives what is handed to it."""

    def __init__(self, backbone: Any) -> None:
        super().__init__()
        self.place = _Place()
        pooler = getattr(backbone, "pooler", None)
        if isinstance(pooler, nn.Linear):  # ALBERT has its parts side by side
            pooler = _FirstToken(pooler, getattr(backbone, "pooler_activation", nn.Identity()))
        self.pooler = pooler if isinstance(pooler, nn.Module) else None
        self.config = getattr(backbone, "config", None)

    def forward(self, *_: Any, **__: Any) -> Any:
        """As a backbone's."""
        hidden = _HANDED[id(self.place)]
        pooled = self.pooler(hidden) if self.pooler is not None else None
        return _Out(last_hidden_state=hidden, pooler_output=pooled)


class Aside:
    """Holds a model that is no part of the module, and is not copied with it."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def __deepcopy__(self, _: dict[int, Any]) -> Aside:
        return self


class ModelHead(nn.Module):
    """The head of a transformers model (a ``...ForMaskedLM``, ``...ForSequenceClassification``): token vectors to the
    model's logits. The model itself is left as it is."""

    def __init__(self, whole: Any) -> None:
        super().__init__()
        shell = copy.copy(whole)
        shell._modules = dict(whole._modules)
        self.given = _Given(whole.base_model)
        shell._modules[whole.base_model_prefix] = self.given
        pad_id = getattr(whole.config, "pad_token_id", None)
        self.pad_id: int = -1 if pad_id is None else pad_id
        """The id that the head knows padding by; one that no text has, where the model has none."""
        if pad_id is None:
            shell.config = copy.copy(whole.config)
            shell.config.pad_token_id = self.pad_id
        self.shell = shell
        self.whole = Aside(whole)
        """The model, for the reference."""

    def forward(self, hidden: Tensor, ids: Tensor, mask: Tensor) -> Tensor:
        """(batch, tokens, dim), and int64 (batch, tokens) ids and mask, -> the logits."""
        with _handed(self.given, hidden):
            logits: Tensor = self.shell(input_ids=ids, attention_mask=mask).logits
        return logits


def some_words(whole: Any, ids: list[int]) -> ModelHead:
    """The head for words of a model with output embeddings, cut down to the rows ``ids``: what the model does to logits
    afterwards (soft caps, scales) is done to these."""
    table = whole.get_output_embeddings()
    rows = nn.Linear(table.in_features, len(ids), bias=table.bias is not None)
    with torch.no_grad():
        rows.weight.copy_(table.weight[ids])
        if table.bias is not None:
            rows.bias.copy_(table.bias[ids])
    head = ModelHead(whole)
    head.shell = _replaced(head.shell, table, rows)
    return head


class Vocabulary(nn.Module):
    """The last layer of a head for words, in parts of the vocabulary: what is made of a part fits into a core's cache, and
    the logits of all words at all tokens are never held at once."""

    def __init__(self, whole: Any) -> None:
        """``whole`` is a model with output embeddings; raises `ValueError` where its logits are not those of this layer."""
        super().__init__()
        table = whole.get_output_embeddings()
        inner = ModelHead(whole)
        inner.shell = _replaced(inner.shell, table, nn.Identity())
        self.inner = inner
        weight = table.weight.detach()
        self.parts = nn.ParameterList(
            nn.Parameter(part.clone(), requires_grad=False) for part in weight.split(_WORDS_AT_ONCE)
        )
        bias = table.bias if table.bias is not None else torch.zeros(len(weight))
        self.register_buffer("bias", bias.detach().clone())
        self._check(whole)

    def _check(self, whole: Any) -> None:
        ids = torch.arange(3, 11)[None]
        with torch.no_grad():
            out = whole.base_model(input_ids=ids)
            hidden = self.hidden(out[0], ids, torch.ones_like(ids))
            found = torch.cat([hidden @ part.T for part in self.weights], dim=-1) + self.shift
            expected = whole(input_ids=ids).logits
        if found.shape != expected.shape or not torch.allclose(found, expected, atol=1e-3, rtol=1e-4):
            raise ValueError("the model changes its logits after the last layer")

    def hidden(self, hidden: Tensor, ids: Tensor, mask: Tensor) -> Tensor:
        """(batch, tokens, dim) token vectors -> what the last layer reads."""
        out: Tensor = self.inner(hidden, ids, mask)
        return out

    @property
    def weights(self) -> list[Tensor]:
        """(words, dim) of each part, in the order of the vocabulary."""
        return list(self.parts)

    @property
    def shift(self) -> Tensor:
        """(vocabulary,) what is added to the logits."""
        bias: Any = self.bias
        out: Tensor = bias
        return out


def _replaced(module: nn.Module, old: nn.Module, new: nn.Module) -> nn.Module:
    """A copy of the module in which ``new`` stands for ``old``; parts without it are shared."""
    if module is old:
        return new
    if all(part is not old for part in module.modules()):
        return module
    copied = copy.copy(module)
    copied._modules = {name: part and _replaced(part, old, new) for name, part in module._modules.items()}
    return copied


@contextmanager
def _handed(given: _Given, hidden: Tensor) -> Iterator[None]:
    _HANDED[id(given.place)] = hidden
    try:
        yield
    finally:
        del _HANDED[id(given.place)]
