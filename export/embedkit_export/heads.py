"""What a graph gives beside a pooled vector, as torch modules: words' weights, tokens' vectors, logits.

Each head takes a `Run` and gives one tensor. A head of a transformers model (for masked words, for classes) is called as
its own class calls it, on token vectors that are there already.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers.modeling_outputs import BaseModelOutputWithPooling

from .stages import take

_HANDED: dict[int, Any] = {}
"""What a stand-in for a backbone gives, while a head is called; not an attribute, for a capture would look at it."""

_LANES = 16
"""onnxruntime computes logarithms in lanes of up to so many numbers, and what is left over otherwise, with other last bits:
rows of whole lanes have nothing left over, wherever they are in a batch."""


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


class Head(nn.Module):
    """One more output of a graph."""

    takes_pool_mask = False
    """Whether the graph needs to know which tokens are left out."""

    def forward(self, run: Run) -> Tensor:
        """The tensor of this output."""
        raise NotImplementedError


class _Given(nn.Module):
    """Stands where the backbone is in a model with a head, and gives what is handed to it."""

    def __init__(self, backbone: Any) -> None:
        super().__init__()
        pooler = getattr(backbone, "pooler", None)
        self.pooler = pooler if isinstance(pooler, nn.Module) else None
        self.config = getattr(backbone, "config", None)

    def forward(self, *_: Any, **__: Any) -> Any:
        """As a backbone's."""
        hidden = _HANDED[id(self)]
        pooled = self.pooler(hidden) if self.pooler is not None else None
        return BaseModelOutputWithPooling(last_hidden_state=hidden, pooler_output=pooled)


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
        self.shell = shell
        self.whole = Aside(whole)
        """The model, for the reference."""

    def forward(self, hidden: Tensor, ids: Tensor, mask: Tensor) -> Tensor:
        """(batch, tokens, dim), and int64 (batch, tokens) ids and mask, -> the logits."""
        with _handed(self.given, hidden):
            logits: Tensor = self.shell(input_ids=ids, attention_mask=mask).logits
        return logits


@contextmanager
def _handed(given: _Given, hidden: Tensor) -> Iterator[None]:
    _HANDED[id(given)] = hidden
    try:
        yield
    finally:
        del _HANDED[id(given)]


class WordWeights(Head):
    """(batch, vocabulary): the weight of each word of the vocabulary, most of them zero.

    ``max`` is log(1 + relu) of the largest logit over the tokens (SPLADE, Formal et al. 2021), ``sum`` the sum of these over
    the tokens; ``last`` is that of the logits at the last token alone, computed nowhere else (PromptReps, Zhuang et al. 2024).
    """

    def __init__(
        self,
        whole: Any,
        language: nn.Module,
        *,
        pooling: str = "max",
        twice: bool = False,
        scale: float = 1.0,
        words: Tensor | None = None,
        own: bool = False,
    ) -> None:
        """``whole`` is the model, for the reference. ``language`` is its `ModelHead`, or of ``last`` a layer from a token's
        vector to the logits. ``twice`` takes the logarithm again. ``words`` (vocabulary,) is 1 where a word may have a weight.
        ``own`` keeps those only whose token is kept in the text."""
        super().__init__()
        self.whole = Aside(whole)
        self.language, self.pooling, self.twice, self.scale, self.own = language, pooling, twice, scale, own
        self.register_buffer("words", words)

    @property
    def takes_pool_mask(self) -> bool:  # type: ignore[override]
        """With ``own``."""
        return self.own

    def activate(self, logits: Tensor) -> Tensor:
        """log(1 + relu), once or twice, scaled."""
        size = logits.shape[-1]
        out = torch.log1p(nn.functional.pad(torch.relu(logits), (0, -size % _LANES)))
        out = torch.log1p(out) if self.twice else out
        return out[..., :size] * self.scale

    def forward(self, run: Run) -> Tensor:
        """(batch, vocabulary)."""
        ids = run.named["input_ids"]
        if self.pooling == "last":
            places = torch.arange(ids.shape[1])
            hidden = take(run.hidden, (run.mask * (places + 1)).argmax(dim=1))
            out = self.activate(self.language(hidden)[:, 0])
        else:
            logits = self.language(run.hidden, ids, run.named["attention_mask"])
            if self.pooling == "max":  # all that follows rises with the logits, so the largest comes first
                out = self.activate((logits * run.mask[:, :, None]).amax(dim=1))
            else:  # a product with two rows sums in one order, however long the padding
                out = torch.matmul(run.mask[:, None, :].expand(-1, 2, -1), self.activate(logits))[:, 0]
        words: Any = self.words
        if words is not None:
            out = out * words
        if self.own:
            size = out.shape[1]
            places = torch.where(run.pool_mask > 0, ids, torch.full_like(ids, size))
            seen = torch.zeros(ids.shape[0], size + 1).scatter(1, places, torch.ones(ids.shape))
            out = out * seen[:, :size]
        return out


class TokenVectors(Head):
    """(batch, tokens, dim): each token's vector after some stages; which tokens are kept is decided outside the graph."""

    def __init__(self, stages: nn.Sequential, *, compact: bool) -> None:
        """``compact`` tells whether tokens are left out, or all that are read are kept."""
        super().__init__()
        self.stages, self.compact = stages, compact

    def forward(self, run: Run) -> Tensor:
        """(batch, tokens, dim)."""
        out: Tensor = self.stages(run.hidden)
        return out


class ModelLogits(Head):
    """(batch, classes): the logits of the model's own head for whole texts.

    The head sees every text twice: a product with one row would be summed in another order than one with several.
    """

    def __init__(self, head: ModelHead) -> None:
        super().__init__()
        self.head = head

    def forward(self, run: Run) -> Tensor:
        """(batch, classes)."""
        ids, mask = run.named["input_ids"], run.named["attention_mask"]
        twice = [torch.cat([tensor, tensor]) for tensor in (run.hidden, ids, mask)]
        logits: Tensor = self.head(*twice)
        return logits[: ids.shape[0]]


class VectorLogits(Head):
    """(batch, classes): logits from the pooled vector, such as those of a logistic regression on it."""

    def __init__(self, stages: nn.Module) -> None:
        super().__init__()
        self.stages = stages

    def forward(self, run: Run) -> Tensor:
        """(batch, classes)."""
        assert run.vectors is not None
        out: Tensor = self.stages(run.vectors)
        return out[:, 0]
