"""Outputs, as a recipe names them."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

import msgspec

from embedkit.errors import InputError
from embedkit_export.tensors import DENSE

from .recipe import Recipe, Role

Layers: TypeAlias = Annotated[list[int], msgspec.Meta(min_length=1)]


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


class Dense(_Output, frozen=True, tag="dense"):
    """Another pooled vector of the same pass: by ``pooling`` (that of the role unless it is given) and ``stages``."""

    pooling: Any = None
    stages: list[Any] = []
    part: str | None = None
    """What is read of a module that gives several things by name: the key of one."""
    model: str | None = None
    """Another checkpoint of the same kind (a folder), whose body reads the same items in the same graph; its weights are
    those that `stages` names by ``checkpoint:``."""
    joins: dict[str, Annotated[float, msgspec.Meta(gt=0)]] = {}
    """In place of all these: dense outputs by name, each of unit length times the root of its share of the weights, one
    behind the other. The dot product of two such vectors is the weighted mean of the outputs' cosines."""
    similarity: Literal["cosine", "dot", "euclidean"] | None = None
    """That of the recipe unless it is given."""

    def __post_init__(self) -> None:
        if self.joins and (self.pooling is not None or self.stages or self.part or self.model):
            raise ValueError("expected `joins` alone, or what a vector of its own is made by")


class MultiVector(_Output, frozen=True, tag="multivector"):
    """A vector for each token that is not left out by `without` and `without_tokens`."""

    stages: list[Any] = []
    layers: Layers = msgspec.field(default_factory=lambda: [-1])
    """The hidden states that are read, one behind the other: 0 the embeddings, k the k-th layer, -1 the last."""
    similarity: Literal["maxsim", "meanmaxsim"] = "maxsim"
    count: Annotated[int, msgspec.Meta(ge=1)] | None = None
    """How many are kept of each item, the first, where all have as many."""
    part: str | None = None
    """Of items with parts: the one whose rows they stand for."""


class Tokens(_Output, frozen=True, tag="tokens"):
    """A vector for each token that is read; of a picture without those that the role leaves out at its beginning."""

    stages: list[Any] = []
    layers: Layers = msgspec.field(default_factory=lambda: [-1])
    count: Annotated[int, msgspec.Meta(ge=1)] | None = None
    part: str | None = None
    pooled: bool = False
    """Those of which the role's pooled vector is the mean, so that chunks of a text that is read whole can be pooled by themselves
    (late chunking, Guenther et al. 2024); layers and stages are those of the pooling then."""

    def __post_init__(self) -> None:
        if self.pooled and (self.stages or self.layers != [-1] or self.count or self.part):
            raise ValueError("expected `pooled` alone, or what makes vectors of their own")


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


Named: TypeAlias = Dense | Sparse | MultiVector | Tokens | Map | Logits


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
    given = next(found[name] for found in all_outputs(recipe) if name in found)
    return given.similarity or recipe.similarity if isinstance(given, Dense) else getattr(given, "similarity", None)


def of_role(recipe: Recipe, role: Role) -> dict[str, Any]:
    """The outputs of a role beside the pooled vector: the recipe's, and its own, which take their place."""
    given = {**recipe.outputs, **(role.outputs or {})}
    return {name: checked_output(output, name) for name, output in given.items()}


def all_outputs(recipe: Recipe) -> list[dict[str, Any]]:
    """The outputs of each role."""
    return [of_role(recipe, recipe.role(name)) for name in recipe.names()]
