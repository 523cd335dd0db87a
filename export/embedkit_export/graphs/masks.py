"""What transformers' attention sees of other tokens while a graph is captured: masks made by arithmetic, and what its kernels
do without being given a mask."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn


@contextmanager
def additive_masks() -> Iterator[None]:
    """While a graph is captured, transformers makes its attention masks by arithmetic: a row of padding that is
    broadcast, added to a pattern of (tokens, tokens) only where the architecture has one (causal, local).

    Its own masks have a full (batch, 1, tokens, tokens) pattern of booleans, which costs a pass over all scores.
    """
    from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS as FUNCTIONS

    with _standing_in(FUNCTIONS, "eager", _additive_mask):
        yield


def causal_alone(graph: nn.Module, given: Sequence[Tensor]) -> dict[int, str]:
    """The modules of attention (by ``id``, with their names) that see no later token where nothing is padded: torch's kernel makes
    them so by the module's ``is_causal``, where it is given no mask. ``given`` are inputs of items without padding.
    """
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS as FUNCTIONS

    kernel: Callable[..., Any] = FUNCTIONS["sdpa"]
    names = {id(part): name for name, part in graph.named_modules()}
    found: dict[int, str] = {}

    def attention(module: Any, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, **options: Any) -> Any:
        stated = options.get("is_causal")
        causal = getattr(module, "is_causal", True) if stated is None else stated
        if causal and mask is None and query.shape[2] > 1 and id(module) in names:
            found[id(module)] = names[id(module)]
        return kernel(module, query, key, value, mask, **options)

    with _standing_in(FUNCTIONS, "sdpa", attention):
        try:
            graph(*given)
        except Exception:
            return {}
    return found


@contextmanager
def attention_alone(causal: Mapping[int, str], *, blind: bool) -> Iterator[list[str]]:
    """While a graph is captured, attention does what torch does of one item alone, without padding; gives the names of the modules
    for which that is more than their mask says, as they are met.

    Those of ``causal`` see no later token, where their mask is of padding alone. With ``blind`` a token that sees no other
    (padding that is kept, further from the text than a local pattern reaches) takes nothing from its attention, as in
    torch's own; not the mean of all.
    """
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS as FUNCTIONS

    met: list[str] = []

    def attention(module: Any, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, **options: Any) -> Any:
        if id(module) in causal and (mask is None or mask.shape[-2] == 1):
            mask = _with_causal(mask, query, key)
            met.append(causal[id(module)])
        out, weights = _plain(module)(module, query, key, value, mask, **options)
        if not blind or mask is None or mask.shape[-2] == 1:
            return out, weights
        sees = (mask.amax(dim=-1) > torch.finfo(mask.dtype).min / 2).to(out.dtype)  # (batch, 1, tokens)
        return out * sees.transpose(1, 2)[..., None], weights

    if not causal and not blind:
        yield met
        return
    with _standing_in(FUNCTIONS, "eager", attention):
        yield met


def _plain(module: Any) -> Callable[..., Any]:
    """The decomposed attention of the file in which a module's class, or one that it is made from, is written."""
    files = [sys.modules[one.__module__] for one in type(module).__mro__]
    found: Callable[..., Any] = next(
        file.eager_attention_forward for file in files if hasattr(file, "eager_attention_forward")
    )
    return found


def _with_causal(mask: Tensor | None, query: Tensor, key: Tensor) -> Tensor:
    """A mask of padding, (batch, 1, 1, tokens), added to the pattern in which a token sees none after it."""
    rows = torch.arange(query.shape[2], device=query.device)[:, None]
    columns = torch.arange(key.shape[2], device=query.device)[None, :]
    lowest = torch.finfo(query.dtype).min
    pattern = (1.0 - (columns <= rows)[None, None].to(query.dtype)) * lowest
    return pattern if mask is None else _added(pattern, mask, lowest)


def _added(pattern: Tensor, padding: Tensor, lowest: float) -> Tensor:
    """Two of the lowest numbers would add up to minus infinity, and a row of these to NaN."""
    return torch.maximum(pattern + padding, torch.tensor(lowest, dtype=padding.dtype))


def _additive_mask(
    batch_size: int,
    q_length: int,
    kv_length: int,
    q_offset: int = 0,
    kv_offset: int = 0,
    mask_function: Callable[..., Any] | None = None,
    attention_mask: Tensor | None = None,
    dtype: torch.dtype = torch.float32,
    device: Any = "cpu",
    **_: Any,
) -> Tensor | None:
    """What `transformers.masking_utils.eager_mask` returns, added up from its parts."""
    lowest = torch.finfo(dtype).min
    rows = torch.arange(q_length, device=device)[None, None, :, None] + q_offset
    columns = torch.arange(kv_length, device=device)[None, None, None, :] + kv_offset
    zero = torch.zeros((1, 1, 1, 1), dtype=torch.int64, device=device)
    seen = mask_function(zero, zero, rows, columns) if mask_function is not None else None
    out: Tensor | None = None
    if isinstance(seen, Tensor) and seen.shape[-1] != 1:  # a pattern that looks at no column lets every token see all
        out = (1.0 - seen.to(dtype)) * lowest
    if attention_mask is not None:
        padding = (1.0 - attention_mask.to(dtype))[:, None, None, :] * lowest
        out = padding if out is None else _added(out, padding, lowest)
    return out


@contextmanager
def _standing_in(functions: Any, name: str, function: Callable[..., Any]) -> Iterator[None]:
    """``function`` under a name of one of transformers' tables, and what was there before afterwards."""
    before = functions.get(name)
    functions[name] = function
    try:
        yield
    finally:
        if before is None:
            del functions[name]
        else:
            functions[name] = before
