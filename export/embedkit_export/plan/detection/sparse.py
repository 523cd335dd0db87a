"""The recipe of a sparse encoder: a head for masked words, and the largest of its logits over the tokens (SPLADE); a weight
for each word of the text from a table; or an autoencoder with few numbers of a dense vector (CSR)."""

from __future__ import annotations

from typing import Any, Literal

from embedkit.errors import ExportError
from embedkit_export.modules.layers import Latents
from embedkit_export.recipes.outputs import Sparse
from embedkit_export.recipes.recipe import Inferred, Recipe, Role
from embedkit_export.sources import routes as pipelines
from embedkit_export.sources.source import Source

from . import dense as modules

OUTPUT = "sparse"
_ACTIVATIONS: dict[str, Literal["log1p_relu", "log1p_log1p_relu"]] = {
    "relu": "log1p_relu",
    "log1p_relu": "log1p_log1p_relu",
}


def inferred(origin: Source) -> Inferred:
    """The recipe of a SparseEncoder. Raises `ExportError` naming the module that cannot be exported."""
    model = origin.model
    prompts = pipelines.prompts(model)
    pipes = {name: pipelines.pipeline(model, name) for name in prompts}
    similarity = model.similarity_fn_name or "dot"
    if similarity not in ("dot", "cosine"):
        raise ExportError(
            f"similarity: sparse vectors are compared by dot product or cosine, and this model states {similarity!r}; set "
            "similarity_fn_name to one of these"
        )
    compared: dict[str, Any] = {"similarity": f"sparse_{similarity}"}
    kinds = {name: [type(module).__name__ for module in pipe] for name, pipe in pipes.items()}
    if all(kind[-1] == "SparseAutoEncoder" for kind in kinds.values()):
        recipe = _by_latents(model, pipes, compared)
    else:
        recipe = _by_words(model, pipes, kinds, compared)
    limit = _limit(pipes["default"][0])
    roles = {name: _role(pipes[name], prompt, limit) for name, prompt in prompts.items()}
    kept = f", the {model.max_active_dims} largest" if model.max_active_dims else ""
    shown = {", ".join(kind): name for name, kind in kinds.items()}
    reasons = [
        *(f"modules: {names} of the sentence-transformers model (role {name})" for names, name in shown.items()),
        f"output sparse: {_said(pipes['default'])}{kept}",
        f"similarity: {similarity}",
        *(f"role {name}: the prompt {prompt!r}" for name, prompt in prompts.items() if prompt),
    ]
    whole = Recipe(dense=False, similarity="dot", max_tokens=limit, roles=roles, **recipe)
    return Inferred(whole, reasons, stated=True)


def _limit(first: Any) -> int | None:
    """Tokens that are read; of a table as many as its tokenizer reads."""
    if type(first).__name__ != "SparseStaticEmbedding":
        stated: int | None = first.max_seq_length
        return stated
    return min(int(first.tokenizer.model_max_length), pipelines.ANY_LENGTH)


def _role(pipe: list[Any], prompt: str, usual: int | None) -> Role:
    """What a role reads; ``usual`` tokens are what the recipe says already, and before a table come no special ones."""
    table = type(pipe[0]).__name__ == "SparseStaticEmbedding"
    limit = _limit(pipe[0])
    return Role(
        template=pipelines.template(prompt),
        max_tokens=None if limit == usual else limit,
        special_tokens=False if table else None,
    )


def _by_words(
    model: Any, pipes: dict[str, list[Any]], kinds: dict[str, list[str]], compared: dict[str, Any]
) -> dict[str, Any]:
    """Of routes with a head for words, which must be alike, and of those with a table."""
    heads: list[Any] = []
    for name, kind in kinds.items():
        if kind == ["SparseStaticEmbedding"]:
            continue
        if len(kind) != 2 or kind[0] not in ("Transformer", "MLMTransformer") or kind[1] != "SpladePooling":
            raise ExportError(
                f"modules: role {name!r}: expected a Transformer with a head for masked words, then SpladePooling; or "
                f"SparseStaticEmbedding alone; or Transformer, Pooling and SparseAutoEncoder; found {', '.join(kind)}"
            )
        heads.append(pipes[name][1])
    about = {(head.pooling_strategy, head.activation_function) for head in heads}
    if len(about) > 1:
        raise ExportError("modules: the roles' SpladePooling differ; expected one pooling and activation for all")
    told = {}
    if heads:
        told = {"pooling": heads[0].pooling_strategy, "activation": _ACTIVATIONS[heads[0].activation_function]}
    return {"outputs": {OUTPUT: Sparse(top=model.max_active_dims, **told, **compared)}}


def _by_latents(model: Any, pipes: dict[str, list[Any]], compared: dict[str, Any]) -> dict[str, Any]:
    """Of an autoencoder behind a dense encoder, the same for all roles."""
    first = pipes["default"]
    for name, pipe in pipes.items():
        if [id(module) for module in pipe] != [id(module) for module in first]:
            raise ExportError(f"modules: role {name!r} has modules of its own; expected one route for all roles")
    parts, coder = modules.parts(first[:-1]), first[-1]
    if not parts.include_prompt and any(model.prompts.values()):
        raise ExportError(
            "modules: Pooling: leaves out a prompt (include_prompt = false) before a SparseAutoEncoder; set it to true"
        )
    top = model.max_active_dims or coder.k
    return {
        "pooling": parts.pooling,
        "token_stages": parts.token_stages,
        "stages": parts.stages,
        "outputs": {OUTPUT: Sparse(stages=[Latents.of(coder)], top=top, **compared)},
    }


def _said(pipe: list[Any]) -> str:
    last = pipe[-1]
    if type(last).__name__ == "SpladePooling":
        return f"{last.pooling_strategy} over the tokens of log(1 + {last.activation_function})"
    return "the weight of each word in the text" if len(pipe) == 1 else "latents of an autoencoder"
