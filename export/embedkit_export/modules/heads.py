"""What a graph gives beside a pooled vector, as torch modules: words' weights, tokens' vectors, logits.

Each head takes a `Run` and gives one tensor. A head of a transformers model (for masked words, for classes) is called as
its own class calls it, on token vectors that are there already.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from embedkit_export.tensors import POOL_MASK

from .layers import Normalize
from .pooling import Layers, part_of, pooled, take
from .vocabulary import Aside, Head, ModelHead, Run, Vocabulary

_LANES = 16
"""onnxruntime computes logarithms in lanes of up to so many numbers, and what is left over otherwise, with other last bits:
rows of whole lanes have nothing left over, wherever they are in a batch."""


class WordWeights(Head):
    """(batch, vocabulary): the weight of each word of the vocabulary, most of them zero.

    ``max`` is log(1 + relu) of the largest logit over the tokens (SPLADE, Formal et al. 2021), ``sum`` the sum of these over
    the tokens; ``last`` is that of the logits at the last token alone, computed nowhere else (PromptReps, Zhuang et al. 2024).
    """

    def __init__(
        self,
        whole: Any,
        language: Vocabulary | nn.Linear,
        *,
        pooling: str = "max",
        twice: bool = False,
        scale: float = 1.0,
        words: Tensor | None = None,
        own: bool = False,
    ) -> None:
        """``whole`` is the model, for the reference. ``language`` is its `Vocabulary`, or of ``last`` the layer from a token's
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
        elif self.pooling == "max":
            out = self.activate(self._largest(run, ids))
        else:  # a product with two rows sums in one order, however long the padding
            language: Any = self.language
            hidden = language.hidden(run.hidden, ids, run.named["attention_mask"])
            mask = run.mask[:, None, :].expand(-1, 2, -1)
            sums, place = [], 0
            for part in language.weights:
                logits = hidden @ part.T + language.shift[place : place + len(part)]
                sums.append(torch.matmul(mask, self.activate(logits))[:, 0])
                place += len(part)
            out = torch.cat(sums, dim=1)
        words: Any = self.words
        if words is not None:
            out = out * words
        if self.own:
            size = out.shape[1]
            places = torch.where(run.pool_mask > 0, ids, torch.full_like(ids, size))
            seen = torch.zeros(ids.shape[0], size + 1).scatter(1, places, torch.ones(ids.shape))
            out = out * seen[:, :size]
        return out

    def _largest(self, run: Run, ids: Tensor) -> Tensor:
        """(batch, vocabulary): each word's largest logit. All that is done to logits afterwards rises with them, so it can
        wait; padding is made a copy of the first token, which changes no maximum, instead of masking every logit."""
        language: Any = self.language
        hidden = torch.where(run.mask[:, :, None] > 0, run.hidden, run.hidden[:, :1])
        hidden = language.hidden(hidden, ids, run.named["attention_mask"])
        out: Tensor = torch.cat([(hidden @ part.T).amax(dim=1) for part in language.weights], dim=1) + language.shift
        return out


class TokenWeights(Head):
    """(batch, vocabulary): of each token of the text that is kept the relu of a layer on its vector, where it comes several
    times the largest, and 0 for all others (BGE-M3, Chen et al. 2024)."""

    takes_pool_mask = True

    def __init__(self, layer: nn.Linear, words: Tensor, *, scale: float = 1.0) -> None:
        """``layer`` gives one number; ``words`` (vocabulary,) is 1 where a token may have a weight."""
        super().__init__()
        self.layer, self.scale = layer, scale
        self.register_buffer("words", words)

    def forward(self, run: Run) -> Tensor:
        """(batch, vocabulary)."""
        ids = run.named["input_ids"]
        words: Any = self.words
        own = torch.relu(self.layer(run.hidden))[:, :, 0] * run.pool_mask * words[ids]
        out = torch.zeros(ids.shape[0], words.shape[0]).scatter_reduce(1, ids, own, "amax")
        return out * self.scale


class StaticWords(Head):
    """(batch, vocabulary): of each word of the text its weight in a table, however often it comes."""

    def __init__(self, weight: Tensor) -> None:
        """``weight`` (vocabulary,)."""
        super().__init__()
        self.register_buffer("weight", weight)
        self.weight: Tensor

    def forward(self, run: Run) -> Tensor:
        """(batch, vocabulary)."""
        ids = run.named["input_ids"]
        weight: Tensor = self.weight
        there = torch.zeros(ids.shape[0], weight.shape[0]).scatter_reduce(1, ids, run.mask, "amax")
        out: Tensor = there * weight
        return out


class VectorWords(Head):
    """(batch, latents): what is above 0 of some stages on the pooled vector."""

    def __init__(self, stages: nn.Module) -> None:
        super().__init__()
        self.stages = stages

    def forward(self, run: Run) -> Tensor:
        """(batch, latents)."""
        assert run.vectors is not None
        return torch.relu(self.stages(run.vectors)[:, 0])


class TokenVectors(Head):
    """(batch, tokens, dim): each token's vector after some stages; which tokens are kept is decided outside the graph, but for
    a picture's first ones, which the role leaves out."""

    def __init__(self, stages: nn.Sequential, *, compact: bool, layers: Sequence[int] = (-1,)) -> None:
        """``compact`` tells whether tokens are left out, or all that are read are kept."""
        super().__init__()
        self.stages, self.compact, self.reading = stages, compact, Layers(layers)

    def forward(self, run: Run) -> Tensor:
        """(batch, tokens, dim)."""
        out: Tensor = self.stages(self.reading(run.out)[:, run.leading :])
        return out


class PooledVector(Head):
    """(batch, dim): another pooled vector, of the same token vectors or of those of another body."""

    def __init__(
        self,
        pools: Sequence[nn.Module],
        stages: nn.Sequential,
        *,
        reading: Layers,
        masked: bool = True,
        part: str | None = None,
        body: nn.Module | None = None,
    ) -> None:
        """``part`` is the key of what is read of a module that gives several things; ``body`` another one, called as the
        backbone is."""
        super().__init__()
        self.pools, self.stages, self.reading, self.masked = nn.ModuleList(pools), stages, reading, masked
        self.part, self.body = part, body

    @property
    def takes_pool_mask(self) -> bool:  # type: ignore[override]
        """Unless all is pooled that is read."""
        return self.masked

    @property
    def depths(self) -> list[int]:
        """Of the backbone's own hidden states."""
        return [] if self.body is not None else self.reading.layers

    def hidden(self, named: Mapping[str, Tensor], out: Any) -> Tensor:
        """(batch, tokens, dim) of what the backbone gives, or by the other body."""
        if self.body is not None:
            options = {"output_hidden_states": True} if self.reading.are_inner else {}
            out = self.body(**{name: tensor for name, tensor in named.items() if name != POOL_MASK}, **options)
        if self.part is not None:
            found: Tensor = part_of(out, self.part)
            return found
        return self.reading(out)

    def forward(self, run: Run) -> Tensor:
        """(batch, dim)."""
        pool_mask = run.pool_mask if self.masked else run.mask
        hidden = self.hidden(run.named, run.out)
        mask = run.mask
        if mask.shape[1] != hidden.shape[1]:  # of pictures, where another body has as many tokens as it likes
            mask = pool_mask = torch.ones(hidden.shape[:2])
        vectors: Tensor = self.stages(pooled(self.pools, hidden, run.named, mask, pool_mask, run.leading))
        return vectors[:, 0]


class Joined(Head):
    """(batch, dims): dense outputs one behind the other, each of unit length times the root of its share of the weights."""

    def __init__(self, weights: Mapping[str, float]) -> None:
        super().__init__()
        total = sum(weights.values())
        self.unit = Normalize()
        self.roots = {name: (weight / total) ** 0.5 for name, weight in weights.items()}

    @property
    def depths(self) -> list[int]:
        """It reads other outputs."""
        return []

    def forward(self, run: Run) -> Tensor:
        """(batch, dims)."""
        return torch.cat([self.unit(run.made[name]) * root for name, root in self.roots.items()], dim=-1)


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
        ids = torch.where(mask > 0, ids, self.head.pad_id)
        twice = [torch.cat([tensor, tensor]) for tensor in (run.hidden, ids, mask)]
        logits: Tensor = self.head(*twice)
        return logits[: ids.shape[0]]


class AnswerLogits(Head):
    """(batch, 1): the logit of one word behind the text, less that of another where there are two, from a language model's
    head for words, of which only these rows are computed."""

    def __init__(self, head: ModelHead, ids: list[int]) -> None:
        """``head`` gives the logits of the words ``ids`` alone."""
        super().__init__()
        self.head, self.ids = head, ids

    def forward(self, run: Run) -> Tensor:
        """(batch, 1)."""
        places = torch.arange(run.hidden.shape[1])
        last = (run.mask * (places + 1)).argmax(dim=1)
        hidden = take(run.hidden, last)  # two equal rows, for a product with one is summed in another order
        ids = torch.gather(run.named["input_ids"], 1, last[:, None]).expand(-1, 2)
        logits = self.head(hidden, ids, torch.ones_like(ids))[:, 0]
        out: Tensor = logits[:, :1] - logits[:, 1:] if len(self.ids) > 1 else logits
        return out


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
