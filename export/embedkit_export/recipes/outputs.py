"""Outputs, as a recipe names them."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

import msgspec

from embedkit.errors import InputError
from embedkit_export.tensors import DENSE

from .recipe import Recipe


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
    stages: list[Any] | None = None
    """On the pooled vector, in place of a head for words: what is above 0 of the result are the weights (CSR)."""
    similarity: Literal["sparse_dot", "sparse_cosine"] = "sparse_dot"


class MultiVector(_Output, frozen=True, tag="multivector"):
    """A vector for each token that is not left out by `without` and `without_tokens`."""

    stages: list[Any] = []
    similarity: Literal["maxsim", "meanmaxsim"] = "maxsim"
    count: Annotated[int, msgspec.Meta(ge=1)] | None = None
    """How many are kept of each item, the first, where all have as many."""
    part: str | None = None
    """Of items with parts: the one whose rows they stand for."""


class Tokens(_Output, frozen=True, tag="tokens"):
    """A vector for each token that is read."""

    stages: list[Any] = []
    count: Annotated[int, msgspec.Meta(ge=1)] | None = None
    part: str | None = None


class Map(_Output, frozen=True, tag="map"):
    """A vector for each place of a picture, ``grid`` (height, width): of the tokens behind the first ``skip``, row by row."""

    grid: Annotated[list[Annotated[int, msgspec.Meta(ge=1)]], msgspec.Meta(min_length=2, max_length=2)]
    skip: Annotated[int, msgspec.Meta(ge=0)] = 0
    stages: list[Any] = []


class Logits(_Output, frozen=True, tag="logits"):
    """A number for each class: from the model's own head, by ``stages`` on the pooled vector, or by a word that a language
    model would say next."""

    stages: list[Any] | None = None
    words: Annotated[list[str | int], msgspec.Meta(max_length=2)] = []
    """Of a language model, one number: the logit of the first of these tokens (or ids) behind the text, less that of the
    second where there is one (Qwen3-Reranker, Zhang et al. 2025: yes and no)."""
    labels: list[str] = []
    activation: Literal["identity", "sigmoid", "softmax", "tanh"] = "identity"


Named: TypeAlias = Sparse | MultiVector | Tokens | Map | Logits


def checked_output(given: Any, name: str) -> Any:
    """An output of this module, from itself or a table; raises `InputError` naming what is wrong with it."""
    if not name.isidentifier() or name in ("dense", "vectors"):  # the golden file calls the dense ones ``vectors``
        raise InputError(
            f"outputs: expected a name of letters, digits and _, other than 'dense' and 'vectors', found {name!r}"
        )
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
    stated = [recipe.outputs, *(role.outputs or {} for role in recipe.roles.values())]
    given = checked_output(next(outputs[name] for outputs in reversed(stated) if name in outputs), name)
    return getattr(given, "similarity", None)
