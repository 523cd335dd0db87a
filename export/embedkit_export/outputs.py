"""The outputs that a recipe names beside the pooled vector, and the heads that make them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal, TypeAlias

import msgspec
import torch
from torch import Tensor, nn

from embedkit.errors import ExportError, InputError

from . import assembly, heads
from .graph import DENSE
from .recipe import Recipe
from .source import Source
from .stages import Normalize


class _Output(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True, tag_field="kind"):
    pass


class Sparse(_Output, frozen=True, tag="sparse"):
    """A weight for each word of the vocabulary, from the model's head for words; see `heads.WordWeights`."""

    weights: str | None = None
    """A layer (``FILE:PREFIX``) from a token's vector to its own weight, in place of the model's head: see
    `heads.TokenWeights`. ``pooling``, ``activation`` and ``own_tokens`` say nothing then."""
    pooling: Literal["max", "sum", "last"] = "max"
    activation: Literal["log1p_relu", "log1p_log1p_relu"] = "log1p_relu"
    scale: float = 1.0
    top: Annotated[int, msgspec.Meta(ge=1)] | None = None
    """How many words are kept, those with the largest weights."""
    own_tokens: bool = False
    """Only words whose token is in the text, and not left out by `without`."""
    stopwords: list[str] = []
    """Words without a weight: every token that is one of these, whatever its case, without the space around it."""


class MultiVector(_Output, frozen=True, tag="multivector"):
    """A vector for each token that is not left out by `without` and `without_tokens`."""

    stages: list[Any] = []
    similarity: Literal["maxsim", "meanmaxsim"] = "maxsim"


class Tokens(_Output, frozen=True, tag="tokens"):
    """A vector for each token that is read."""

    stages: list[Any] = []


class Logits(_Output, frozen=True, tag="logits"):
    """A number for each class: from the model's own head, or by ``stages`` on the pooled vector."""

    stages: list[Any] | None = None
    labels: list[str] = []
    activation: Literal["identity", "sigmoid", "softmax"] = "identity"


Named: TypeAlias = Sparse | MultiVector | Tokens | Logits


def checked(given: Any, name: str) -> Any:
    """An output of this module, from itself or a table; raises `InputError` naming what is wrong with it."""
    if not name.isidentifier() or name == "dense":
        raise InputError(f"outputs: expected a name of letters, digits and _, other than 'dense', found {name!r}")
    if isinstance(given, _Output):
        return given
    try:
        return msgspec.convert(given, Named)
    except msgspec.ValidationError as error:
        raise InputError(f"outputs: {name}: {error}; found {given!r:.120}") from None


def similarity(recipe: Recipe, name: str) -> str | None:
    """How two values of an output are compared; None for those that are not."""
    if name == DENSE:
        return recipe.similarity
    given = checked(recipe.outputs[name], name)
    return "sparse_dot" if isinstance(given, Sparse) else getattr(given, "similarity", None)


def head(given: Named, origin: Source, weights: assembly.Weights, where: str) -> heads.Head:
    """The head of an output. Raises `ExportError` where the model has none of this kind."""
    if isinstance(given, Sparse):
        return _words(given, origin, where) if given.weights is None else _tokens(given, origin, weights, where)
    if isinstance(given, Logits):
        if given.stages is not None:
            return heads.VectorLogits(_stages(given.stages, weights, where))
        return heads.ModelLogits(heads.ModelHead(_whole(origin, where, "a head for classes")))
    return heads.TokenVectors(_stages(given.stages, weights, where), compact=isinstance(given, MultiVector))


def is_normalized(made: heads.Head) -> bool:
    """Whether a token's vectors have unit length."""
    return isinstance(made, heads.TokenVectors) and any(isinstance(part, Normalize) for part in list(made.stages)[-1:])


def _stages(given: Sequence[Any], weights: assembly.Weights, where: str) -> nn.Sequential:
    return nn.Sequential(*(assembly.stage(item, weights, f"{where}: stage {i}") for i, item in enumerate(given, 1)))


def _whole(origin: Source, where: str, what: str) -> Any:
    if origin.whole is None:
        raise ExportError(
            f"{where}: {type(origin.backbone).__name__} was loaded without {what}; name the class that has it (model_class), such as "
            "AutoModelForMaskedLM or AutoModelForSequenceClassification"
        )
    return origin.whole


def _allowed(given: Sparse, origin: Source, size: int) -> Tensor:
    """(size,) 0 for the tokens that are one of the words that have no weight, 1 for all others."""
    words = torch.ones(size)
    stop = {word.lower() for word in given.stopwords}
    for token_id in range(min(len(origin.tokenizer), size)) if stop else ():
        if origin.tokenizer.decode([token_id]).strip().lower() in stop:
            words[token_id] = 0.0
    return words


def _tokens(given: Sparse, origin: Source, weights: assembly.Weights, where: str) -> heads.Head:
    layer = assembly.stage(assembly.Linear(weights=str(given.weights)), weights, where)[0]  # type: ignore[index]
    if layer.out_features != 1:
        raise ExportError(f"{where}: expected a layer to one number, {given.weights!r} gives {layer.out_features}")
    words = _allowed(given, origin, origin.backbone.get_input_embeddings().num_embeddings)
    for special in ("cls", "bos", "sep", "eos", "pad", "unk"):
        token_id = getattr(origin.tokenizer, f"{special}_token_id")
        if token_id is not None:
            words[token_id] = 0.0
    return heads.TokenWeights(layer, words, scale=given.scale)


def _words(given: Sparse, origin: Source, where: str) -> heads.Head:
    whole = _whole(origin, where, "a head for words")
    table = whole.get_output_embeddings() if hasattr(whole, "get_output_embeddings") else None
    if table is None:
        raise ExportError(
            f"{where}: {type(whole).__name__} has no head for words; load a ...ForMaskedLM or ...ForCausalLM"
        )
    words = _allowed(given, origin, table.out_features) if given.stopwords else None
    try:
        language = table if given.pooling == "last" else heads.Vocabulary(whole)
    except ValueError as error:
        raise ExportError(
            f"{where}: {type(whole).__name__}: {error}, which cannot be exported as a sparse output"
        ) from None
    return heads.WordWeights(
        whole,
        language,
        pooling=given.pooling,
        twice=given.activation == "log1p_log1p_relu",
        scale=given.scale,
        words=words,
        own=given.own_tokens,
    )
