"""The recipe of a sparse encoder: a head for masked words, and the largest of its logits over the tokens (SPLADE)."""

from __future__ import annotations

from typing import Any, Literal

from embedkit.errors import ExportError
from embedkit_export.recipes.outputs import Sparse
from embedkit_export.recipes.recipe import Inferred, Recipe, Role
from embedkit_export.sources import routes as pipelines
from embedkit_export.sources.load import Source

_ACTIVATIONS: dict[str, Literal["log1p_relu", "log1p_log1p_relu"]] = {
    "relu": "log1p_relu",
    "log1p_relu": "log1p_log1p_relu",
}


def inferred(origin: Source) -> Inferred:
    """The recipe of a SparseEncoder. Raises `ExportError` naming the module that cannot be exported."""
    model = origin.model
    prompts = pipelines.prompts(model)
    pipes = {name: pipelines.pipeline(model, name) for name in prompts}
    first = pipes["default"]
    for name, pipe in pipes.items():
        kinds = [type(module).__name__ for module in pipe]
        if len(pipe) != 2 or kinds[0] not in ("Transformer", "MLMTransformer") or kinds[1] != "SpladePooling":
            raise ExportError(
                f"modules: role {name!r}: expected a Transformer with a head for masked words, then SpladePooling; found "
                f"{', '.join(kinds)}"
            )
        if [id(module) for module in pipe] != [id(module) for module in first]:
            raise ExportError(f"modules: role {name!r} has modules of its own; expected one route for all roles")
    similarity = model.similarity_fn_name or "dot"
    if similarity != "dot":
        raise ExportError(
            f"similarity: sparse vectors are compared by dot product, and this model states {similarity!r}"
        )
    pool: Any = first[1]
    sparse = Sparse(
        pooling=pool.pooling_strategy, activation=_ACTIVATIONS[pool.activation_function], top=model.max_active_dims
    )
    recipe = Recipe(
        dense=False,
        outputs={"sparse": sparse},
        similarity="dot",
        max_tokens=first[0].max_seq_length,
        roles={name: Role(template=pipelines.template(prompt)) for name, prompt in prompts.items()},
    )
    kept = f", the {model.max_active_dims} largest" if model.max_active_dims else ""
    reasons = [
        f"modules: {', '.join(type(module).__name__ for module in first)} of the sentence-transformers model",
        f"output sparse: {pool.pooling_strategy} over the tokens of log(1 + {pool.activation_function}){kept}",
        *(f"role {name}: the prompt {prompt!r}" for name, prompt in prompts.items() if prompt),
    ]
    return Inferred(recipe, reasons, stated=True)
