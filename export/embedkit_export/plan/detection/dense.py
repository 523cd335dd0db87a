"""What the modules of a SentenceTransformer are in an export: pooling, and stages as modules of torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from embedkit.errors import ExportError
from embedkit_export.modules import layers as stages
from embedkit_export.recipes.recipe import Inferred, Pooling, Recipe, Role
from embedkit_export.sources import routes as pipelines
from embedkit_export.sources.routes import token_limit
from embedkit_export.sources.source import Source

from . import dense as modules

_MODES = {
    "cls": "first",
    "mean": "mean",
    "max": "max",
    "lasttoken": "last",
    "weightedmean": "weighted_mean",
    "mean_sqrt_len_tokens": "mean_sqrt_length",
}
_OWN_WORDS = "it splits texts into words by Python code of its own, and encoding without torch needs a tokenizer.json"
_REFUSED = {
    "BoW": _OWN_WORDS,
    "WordEmbeddings": _OWN_WORDS,
    "WordWeights": "its weights are by words of Python code of its own",
    "CNN": "its convolution reads the padding at a text's end, so a vector would depend on its batch",
    "LSTM": "it reads a text backwards from its own end, which one graph for padded batches cannot",
}


@dataclass(frozen=True)
class Parts:
    """What stands around the backbone of a pipeline."""

    pooling: Pooling
    token_stages: list[nn.Module]
    stages: list[nn.Module]
    max_tokens: int | None
    include_prompt: bool
    named: str
    """The pooling in sentence-transformers' words."""


def parts(pipe: list[Any]) -> Parts:
    """What the modules of a pipeline are. Raises `ExportError` naming the module that cannot be exported."""
    names = [type(module).__name__ for module in pipe]
    for name in names:
        if name in _REFUSED:
            raise ExportError(f"modules: cannot export the module {name}: {_REFUSED[name]}")
    after = [module for module in pipe if type(module).__name__ != "Dropout"]
    if names[:1] == ["StaticEmbedding"]:
        done = [stage(module, "sentence_embedding") for module in after[1:]]
        return Parts(Pooling(), [], done, token_limit(pipe[0]), True, "mean of the rows of a table")
    place = names.index("Pooling") if "Pooling" in names else 0
    if names[:1] != ["Transformer"] or not place:
        raise ExportError(
            "modules: expected Transformer, Pooling, then any of Dense, LayerNorm, Normalize, or StaticEmbedding first; "
            f"found {', '.join(names)}"
        )
    pool, before = pipe[place], pipe[1:place]
    modes = [pool.pooling_mode] if isinstance(pool.pooling_mode, str) else list(pool.pooling_mode)
    unknown = [mode for mode in modes if mode not in _MODES]
    if unknown:
        raise ExportError(f"pooling: expected some of {', '.join(_MODES)}; found {unknown[0]!r}")
    mapped = [_MODES[mode] for mode in modes]
    layers: dict[str, Any] = {}
    if before and type(before[0]).__name__ == "WeightedLayerPooling":
        layers, before = _layers(before[0], pipe[0]), before[1:]
    return Parts(
        Pooling(mode=mapped[0] if len(mapped) == 1 else mapped, **layers),  # type: ignore[arg-type]
        [stage(module, "token_embeddings") for module in before],
        [stage(module, "sentence_embedding") for module in after[after.index(pool) + 1 :]],
        pipe[0].max_seq_length,
        pool.include_prompt,
        ", ".join(modes),
    )


def _layers(module: Any, first: Any) -> dict[str, Any]:
    """How a WeightedLayerPooling joins hidden states: what `Pooling` needs to say of it."""
    if not getattr(first.auto_model.config, "output_hidden_states", False):
        return {}  # as in sentence-transformers: it is given no hidden states, and does nothing
    weights = [float(weight) for weight in module.layer_weights.detach()]
    layers = list(range(module.layer_start, module.layer_start + len(weights)))
    return {"layers": layers, "join": "mean", "layer_weights": weights}


class _Function(nn.Module):
    """A function of tensors as a module."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        """Apply."""
        out: Tensor = self.function(x)
        return out


def _activation(function: Any) -> nn.Module:
    if isinstance(function, nn.LogSigmoid):  # as a graph it would be the logarithm of a sigmoid, which underflows
        return _Function(lambda x: -nn.functional.softplus(-x))
    return function if isinstance(function, nn.Module) else _Function(function)


def stage(module: Any, place: str, gives: str | None = None) -> nn.Module:
    """The torch module of a sentence-transformers module on ``token_embeddings`` or ``sentence_embedding``, which takes
    their place unless it ``gives`` something else."""
    name = type(module).__name__
    if name in ("Dense", "Normalize"):
        if (module.module_input_name, module.module_output_name) != (place, gives or place):
            where = "token vectors" if place.startswith("token") else "the sentence vector"
            raise ExportError(
                f"modules: a {name} module here is expected to be over {where}, found {module.module_input_name}"
            )
        if name == "Normalize":
            return stages.Normalize()
        layer = nn.Sequential(module.linear, _activation(module.activation_function))
        if getattr(module, "use_residual", False):
            return stages.Residual(layer, getattr(module, "residual", None))
        return layer
    if name == "LayerNorm" and place == "sentence_embedding":
        norm: nn.Module = module.norm
        return norm
    raise ExportError(
        f"modules: cannot export the module {name}; after pooling, Dense, LayerNorm and Normalize are known, before it Dense, "
        "Normalize and, first of all, WeightedLayerPooling. "
        "Give the parts as objects of torch: embedkit_export.export((model, tokenizer), recipe=Recipe(...))"
    )


def similarity_of(model: Any) -> Any:
    """How a SentenceTransformer's vectors are compared; `ExportError` for what no store has."""
    found = model.similarity_fn_name or "cosine"
    if found not in ("cosine", "dot", "euclidean"):
        raise ExportError(
            f"similarity: expected cosine, dot or euclidean, found {found!r}; set similarity_fn_name to one that the stores have"
        )
    return found


def from_modules(origin: Source) -> Inferred:
    """The recipe of a SentenceTransformer."""
    model = origin.model
    prompts = pipelines.prompts(model)
    pipes = {name: pipelines.pipeline(model, name) for name in prompts}
    found = {name: modules.parts(pipe) for name, pipe in pipes.items()}
    first, whole = pipes["default"], found["default"]
    if origin.backbone is None or origin.tokenizer is None:
        raise ExportError("modules: the first module reads no text with a transformers model")
    similarity = similarity_of(model)
    dim = model.truncate_dim if (model.truncate_dim or 0) <= (model.get_embedding_dimension() or 0) else None
    roles = {}
    for name, prompt in prompts.items():
        without = [] if found[name].include_prompt else ["prefix"]
        own: dict[str, Any] = {}
        if [id(module) for module in pipes[name]] != [id(module) for module in first]:
            parts = found[name]
            own = {"pooling": parts.pooling, "token_stages": parts.token_stages, "stages": parts.stages}
            own["max_tokens"] = parts.max_tokens or pipelines.ANY_LENGTH
        roles[name] = Role(template=pipelines.template(prompt), without=without if prompt else None, **own)
    recipe = Recipe(
        pooling=whole.pooling,
        token_stages=whole.token_stages,
        stages=whole.stages,
        similarity=similarity,
        matryoshka=[dim] if dim else [],
        dim=dim,
        max_tokens=whole.max_tokens,
        roles=roles,
    )
    names = ", ".join(type(module).__name__ for module in first)
    stated = (
        f"{whole.max_tokens} of the {type(first[0]).__name__} module"
        if whole.max_tokens
        else "as many as the tokenizer reads"
    )
    reasons = [
        f"modules: {names} of the sentence-transformers model",
        *(
            f"role {name}: its route's modules, {', '.join(type(module).__name__ for module in pipes[name])}"
            for name, role in roles.items()
            if role.pooling is not None
        ),
        f"pooling: {whole.named}" + ("" if whole.include_prompt else ", without the prompt"),
        f"similarity: {similarity}" + ("" if model.similarity_fn_name else " (sentence-transformers' default)"),
        *(
            [f"dim: the first {dim} numbers of a vector by default (truncate_dim), others when asked for"]
            if dim
            else []
        ),
        f"max_tokens: {stated}",
        *(f"role {name}: the prompt {prompt!r}" for name, prompt in prompts.items() if prompt),
    ]
    notes = [
        f"the prompt {name!r} is the role {name!r}; as in sentence-transformers, encode_document does not use it"
        for name in ("passage", "corpus")
        if prompts.get(name) and prompts["document"] != prompts[name]
    ]
    return Inferred(recipe, reasons, notes, stated=True)
