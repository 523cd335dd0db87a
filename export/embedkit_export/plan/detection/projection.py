"""The recipe of a text encoder with a projection of its own (CLIP's, CLAP's): its pooled token, then the projection."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from embedkit.errors import ExportError
from embedkit_export.modules.layers import Normalize
from embedkit_export.plan.backbone import pooler, positions
from embedkit_export.plan.heads import OF_NO_TOKEN, closing_id
from embedkit_export.quiet import quiet
from embedkit_export.recipes.recipe import Inferred, Pooling, Recipe
from embedkit_export.sources.source import Source

_TEXTS = ("a", "a photo of two boats", "rain, wind and a harbour at night: nobody is there")


def has_projection(whole: Any) -> bool:
    """Whether a transformers model gives text vectors by a projection behind its body."""
    return hasattr(whole, "text_projection") and hasattr(whole, "text_model")


def inferred(origin: Source) -> Inferred:
    """The recipe of such a model: the pooling by which its own vectors come out. Raises `ExportError` where none does."""
    whole, name = origin.whole, type(origin.whole).__name__
    with quiet(), torch.no_grad():
        ways = [(mode, unit) for unit in (False, True) for mode in _modes(origin)]
        found: Any = next((way for way in ways if _gives(origin, *way)), None)
    if found is None:
        raise ExportError(
            f"{origin.name}: {name} pools its tokens in a way that is not known here; give the pooling in a recipe and the projection "
            'as its stage (stages = [{ kind = "linear", weights = "checkpoint:text_projection" }])'
        )
    mode, unit = found
    reasons = [
        f"pooling: {mode}, by which the vectors of {name} come out",
        f"stages: the text_projection of {name}{', then unit length, as it does' * unit}",
        "similarity: cosine, as such models compare a text with an image or a sound",
    ]
    return Inferred(
        Recipe(pooling=Pooling(mode=mode), stages=[whole.text_projection, *([Normalize()] if unit else [])]), reasons
    )


def _modes(origin: Source) -> list[str]:
    """The poolings that are tried, in order: where a text model knows how its texts are closed, that first."""
    own = getattr(origin.backbone, "eos_token_id", None)
    closing = [] if closing_id(origin) is None else ["eos"]
    return [*(["highest"] if own == OF_NO_TOKEN else []), *closing, "last", "pooler", "first"]


def _gives(origin: Source, mode: Any, unit: bool) -> bool:
    """Whether the model's own vectors are the projected ones of this pooling, at unit length or as they are."""
    closing = origin.tokenizer.convert_ids_to_tokens(closing_id(origin)) if closing_id(origin) is not None else ""
    for text in (*_TEXTS, f"a boat {closing} at night"):
        given = origin.tokenizer(text, return_tensors="pt", truncation=True, max_length=positions(origin.backbone))
        ids, mask = given["input_ids"], given["attention_mask"]
        hidden: Tensor = origin.backbone(input_ids=ids, attention_mask=mask)[0][0]
        place = 0
        if mode in ("eos", "highest"):
            found = ids[0] if mode == "highest" else torch.eq(ids[0], closing_id(origin) or 0).int()
            place = int(found.argmax())
        token = hidden[-1] if mode == "last" else hidden[place]
        if mode == "pooler":
            try:
                token = pooler(origin.backbone, "pooling")(token)
            except ExportError:
                return False
        if hasattr(origin.whole, "get_text_features"):
            out = origin.whole.get_text_features(input_ids=ids, attention_mask=mask)
            expected = (out if isinstance(out, Tensor) else out.pooler_output)[0]
        else:
            expected = origin.whole(input_ids=ids, attention_mask=mask).text_embeds[0]
        mine = origin.whole.text_projection(token[None])[0]
        if not torch.allclose(mine / mine.norm() if unit else mine, expected, atol=1e-5, rtol=1e-4):
            return False
    return True
