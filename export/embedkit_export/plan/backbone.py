"""What a backbone is asked before it is captured."""

from __future__ import annotations

import copy
import json
from contextlib import suppress
from typing import Any

import torch
from torch import nn

from embedkit.errors import ExportError
from embedkit_export.quiet import quiet, reason


def pooler(backbone: Any, where: str) -> nn.Module:
    """The model's own pooler as a stage on the first token's vector."""
    found = getattr(backbone, "pooler", None)
    dense, function = getattr(found, "dense", None), getattr(found, "activation", None)
    if dense is None or function is None:
        raise ExportError(
            f"{where}: pooling 'pooler': {type(backbone).__name__} has no pooler; use 'first' and give its layers as stages"
        )
    return nn.Sequential(dense, function if isinstance(function, nn.Module) else nn.Tanh())


def set_causal(backbone: Any, causal: bool, where: str = "backbone") -> None:
    """Let a decoder's tokens see only earlier ones, or all. Raises `ExportError` where the model's code pays no heed."""
    if hasattr(backbone, "config"):
        backbone.config.is_causal = causal
    for module in backbone.modules():
        if hasattr(module, "is_causal"):
            module.is_causal = causal
    try:
        heeded = _sees_later(backbone) is not causal
    except Exception as error:
        raise ExportError(
            f"{where}: causal = {str(causal).lower()}: {type(backbone).__name__} cannot be run so: {reason(error)}"
        ) from error
    if not heeded:
        raise ExportError(
            f"{where}: causal = {str(causal).lower()} has no effect on {type(backbone).__name__}, whose code has a mask of its own; "
            "leave `causal` out, or give a live model whose attention was changed"
        )


def _sees_later(backbone: Any) -> bool:
    """Whether another last token alters the vector of the one before it."""
    ids = torch.tensor([[3, 4, 5, 6], [3, 4, 5, 7]])
    with quiet(), torch.no_grad():
        out = backbone(input_ids=ids, attention_mask=torch.ones_like(ids))
    one, other = (out if isinstance(out, torch.Tensor) else out[0])[:, 2]
    return not torch.allclose(one, other, rtol=1e-5, atol=1e-7)


def positions(backbone: Any) -> int | None:
    """Tokens that the position table holds, or that the model was configured for; RoBERTa-like models start counting
    after their padding id."""
    config = getattr(backbone, "config", None)
    stated = getattr(config, "max_position_embeddings", None)
    if not isinstance(stated, int) or stated <= 0:
        return None
    for name, module in backbone.named_modules():
        if name.endswith("position_embeddings") and isinstance(module, nn.Embedding) and module.padding_idx is not None:
            return module.num_embeddings - module.padding_idx - 1
    return stated


def without_special(tokenizer: Any) -> Any:
    """A copy of a transformers tokenizer that adds no special tokens; those that stand in a text it still knows."""
    made = copy.deepcopy(tokenizer)
    backend = getattr(made, "backend_tokenizer", None)
    if backend is not None:  # without one it is refused where its file is made
        backend.post_processor = None
    return made


def table_size(backbone: Any) -> int | None:
    """Rows of the table in which the model looks up token ids, where it says which that is."""
    table: Any = getattr(backbone, "table", None)
    if hasattr(backbone, "get_input_embeddings"):
        with suppress(NotImplementedError, AttributeError):
            table = getattr(backbone.get_input_embeddings(), "weight", None)
    return len(table) if isinstance(table, torch.Tensor) and table.ndim == 2 else None


def tokenizer_json(tokenizer: Any) -> str:
    """The fast tokenizer, whole, without truncation or padding of its own."""
    from tokenizers import Tokenizer

    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise ExportError(
            "tokenizer: this model has no fast tokenizer (tokenizer.json), which encoding without torch needs"
        )
    whole = json.loads(backend.to_str())
    whole["truncation"] = whole["padding"] = None
    own = Tokenizer.from_str(json.dumps(whole))
    text: str = own.to_str(pretty=False)
    return text
