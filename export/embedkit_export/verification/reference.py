"""The reference: the model's own vectors from torch, by the plainest way there is.

Each text goes through the transformers tokenizer and the model unpadded (or padded to the fixed length that the
recipe names), with others of as many tokens or alone, in the attention that transformers takes by default; pooling is
done on that one row, by its definition.
Of a SentenceTransformer that is exported as it is, its own ``encode`` is the reference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from embedkit.bundle.frontends.audio import Windows
from embedkit.bundle.manifest import AudioFrontend, IdsFrontend, ImageFrontend, Output, TextFrontend
from embedkit.runtime.frontends.text.template import Text
from embedkit.vectors.multivector import MultiVectors
from embedkit.vectors.sparse import SparseVectors
from embedkit.vectors.values import Values
from embedkit_export.modules import heads
from embedkit_export.modules.encoder_graph import EncoderGraph
from embedkit_export.modules.pooling import Pool, last
from embedkit_export.plan.plan import GraphPlan, Plan
from embedkit_export.quiet import quiet
from embedkit_export.tensors import DENSE, FEATURES, IDS, LENGTH, MASK, SAMPLES, TYPES

from .media.audio_reference import given as heard
from .media.composed_reference import named_tensors
from .media.image_reference import inked, pixel_values
from .tokens import chosen_id, padded, sequence

Floats = npt.NDArray[np.float32]

_TOKENS_AT_ONCE = 2048
"""Of the texts that go through the model together."""


def values(plan: Plan, role: str, items: Sequence[Text], model: Any = None, modality: Any = None) -> dict[str, Values]:
    """What torch makes of each item, by output; through ``model``'s own methods where it is given (a sentence-transformers
    model)."""
    outputs = plan.graphs[plan.roles[role].graph].outputs
    with quiet(), torch.no_grad():
        texts = [] if model is None else [str(item) for item in items]
        own = {name: _own(model, role, texts, output) for name, output in outputs.items() if _is_own(model, output)}
        rows = _rows(plan, role, items, modality) if len(own) < len(outputs) else []
    return {
        name: own[name] if name in own else _gathered(output, [row[name] for row in rows])
        for name, output in outputs.items()
    }


def _is_own(model: Any, output: Output) -> bool:
    """Whether a model of sentence-transformers gives this by itself, which token vectors are not once stages are behind them."""
    return model is not None and output.kind != "tokens"


def _gathered(output: Output, rows: Sequence[npt.NDArray[Any]]) -> Values:
    if output.kind in ("multivector", "tokens"):
        return MultiVectors.of(rows, output.dim)
    if output.kind == "sparse":
        parts: list[SparseVectors] = [SparseVectors.of(row[None], top=output.top) for row in rows]
        return SparseVectors.concatenate(parts) if parts else SparseVectors.of(np.empty((0, output.dim)))
    return np.stack(rows).astype(np.float32) if rows else np.empty((0, output.dim), np.float32)


def _own(model: Any, role: str, texts: list[str], output: Output) -> Values:
    # On the left, padding moves the positions of a text.
    left = getattr(model.tokenizer, "padding_side", "right") == "left"
    options: dict[str, Any] = {"batch_size": 1 if left else 16, "show_progress_bar": False}
    if output.kind == "sparse":
        options |= {"convert_to_tensor": True, "convert_to_sparse_tensor": False}
    else:
        options["convert_to_numpy"] = True
    if role == "query":
        out = model.encode_query(texts, **options)
    elif role == "document":
        out = model.encode_document(texts, **options)
    elif role == "default":
        out = model.encode(texts, **options)
    else:
        out = model.encode(texts, prompt_name=role, **options)
    if output.kind == "sparse":
        return SparseVectors.of(out.numpy(), top=output.top)
    if output.kind == "multivector":
        return MultiVectors.of([np.asarray(one, dtype=np.float32) for one in out], output.dim)
    return np.asarray(out, dtype=np.float32)


def _rows(plan: Plan, role: str, items: Sequence[Text], modality: Any) -> list[dict[str, npt.NDArray[Any]]]:
    """What torch makes of each item: texts of as many tokens go through the model together, which needs no padding either."""
    graph = plan.graphs[plan.roles[role].graph]
    if not isinstance(plan.roles[role].frontend, TextFrontend) or len(graph.module.heads):
        return [_alone(plan, role, item, modality) for item in items]
    read = [_read(plan, role, item) for item in items]
    alike: dict[tuple[int, ...], list[int]] = {}
    for number, (_, mask, _) in enumerate(read):
        alike.setdefault(tuple(mask), []).append(number)
    out: dict[int, dict[str, npt.NDArray[Any]]] = {}
    for same, numbers in alike.items():
        count = max(1, _TOKENS_AT_ONCE // max(1, len(same)))
        for start in range(0, len(numbers), count):
            part = numbers[start : start + count]
            given = {name: torch.cat([read[i][0][name] for i in part]) for name in read[part[0]][0]}
            for number, hidden in zip(part, graph.module.hidden(given), strict=True):
                out[number] = _headed_and_pooled(graph, *read[number], hidden)
    return [out[number] for number in range(len(items))]


def _read(plan: Plan, role: str, item: Text) -> tuple[dict[str, Tensor], list[int], list[int]]:
    """The tensors of one text, its mask, and the places that are pooled."""
    planned = plan.roles[role]
    assert isinstance(planned.frontend, TextFrontend)
    ids, mask, types, pool = padded(planned.tokenizer, planned.frontend, item)
    named = {IDS: torch.tensor([ids]), MASK: torch.tensor([mask])}
    for entry in plan.graphs[planned.graph].inputs:
        if entry.choice is not None:
            named[entry.name] = torch.tensor([chosen_id(entry.choice, item)])
        elif entry.source == "types":
            named[TYPES] = torch.tensor([types])
    return named, mask, pool


def _alone(plan: Plan, role: str, item: Text, modality: Any = None) -> dict[str, npt.NDArray[Any]]:
    chosen = plan.roles[role]
    graph = plan.graphs[chosen.graph]
    frontend, module = chosen.frontend, graph.module
    if isinstance(frontend, ImageFrontend):
        values = pixel_values(frontend, module.backbone.image, chosen.processor, item)
        count = last(module.read({"pixel_values": values})).shape[1]
        kept = [int(place >= module.leading) for place in range(count)]
        if module.ink is not None:
            seen = inked(frontend, item, module.ink)
            kept = [*kept[: count - len(seen)], *seen]
        return _headed_and_pooled(graph, {"pixel_values": values}, [1] * count, kept)
    if isinstance(frontend, AudioFrontend):
        named = heard(frontend, chosen.processor, modality, item)
        if frontend.windows is not None:
            return _of_windows(graph, frontend.windows, named[FEATURES][0])
        wave = frontend.mel is None
        frames = [1] * (frontend.frames(named[SAMPLES].shape[1]) if wave else module.hidden(named).shape[1])
        return _headed_and_pooled(graph, named, frames, frames)
    if isinstance(frontend, IdsFrontend):
        return _alone_ids(plan, role, item)  # type: ignore[arg-type]
    if not isinstance(frontend, TextFrontend):
        named = named_tensors(chosen, graph.inputs, item, padded)
        rows = [1] * module.hidden(named).shape[1]
        return _headed_and_pooled(graph, named, rows, rows)
    return _headed_and_pooled(graph, *_read(plan, role, item))


def _of_windows(graph: GraphPlan, about: Windows, features: Tensor) -> dict[str, npt.NDArray[Any]]:
    """The mean of the vectors of a clip's windows, each by itself."""
    rows = []
    for window in features:
        frames = [1] * graph.module.hidden({FEATURES: window[None]}).shape[1]
        rows.append(_headed_and_pooled(graph, {FEATURES: window[None]}, frames, frames)[DENSE])
    mean = np.mean(np.stack(rows), axis=0, dtype=np.float64)
    if about.reduce == "mean_normalize":
        mean = mean / max(float(np.linalg.norm(mean)), 1e-12)
    return {DENSE: np.asarray(mean, dtype=np.float32)}


def _headed_and_pooled(
    graph: GraphPlan, named: dict[str, Tensor], mask: list[int], pool: list[int], hidden: Tensor | None = None
) -> dict[str, npt.NDArray[Any]]:
    """What is made of one item's tensors: ``mask`` tells the tokens that are read, ``pool`` those that are kept; ``hidden`` is
    (tokens, dim) where it is known already."""
    module = graph.module
    out: dict[str, npt.NDArray[Any]] = {}
    vector: Tensor | None = None
    if len(module.pools):
        hidden = module.hidden(named)[0] if hidden is None else hidden
        kept = torch.tensor(pool if module.masked else mask)
        if (
            len(kept) != len(hidden) and MASK not in named
        ):  # a stage on tokens made another number of them, which are all an item's
            kept = (torch.arange(len(hidden)) >= module.leading).long()
        pooled = torch.cat([_pooled(part, module, hidden, named, kept) for part in module.pools])
        staged = module.staged(pooled[None, None].expand(1, 2, -1), named)
        vector = staged
        if module.given:
            out[DENSE] = staged[0, 0].numpy()
    for name, head in module.heads.items():
        if not isinstance(head, heads.Joined):
            out[name] = _headed(head, module, named, vector, np.array(pool) == 1, np.array(mask) == 1)
    for name, head in module.heads.items():
        if isinstance(head, heads.Joined):
            parts = [out[part] / np.linalg.norm(out[part]) * root for part, root in head.roots.items()]
            out[name] = np.concatenate(parts).astype(np.float32)
    return out


def _alone_ids(plan: Plan, role: str, item: Sequence[int]) -> dict[str, npt.NDArray[Any]]:
    """What torch makes of one sequence of ids, by itself: cut, and padded only where it has a fixed length."""
    graph = plan.graphs[plan.roles[role].graph]
    frontend, module = plan.roles[role].frontend, graph.module
    assert isinstance(frontend, IdsFrontend)
    ids = sequence(frontend, item)
    mask = [1] * len(ids)
    filling = [0] * max(0, frontend.least - len(ids))
    padding = [frontend.pad_id] * len(filling)
    left = frontend.pad == "left"
    named = {
        IDS: torch.tensor([[*padding, *ids] if left else [*ids, *padding]]),
        MASK: torch.tensor([[*filling, *mask] if left else [*mask, *filling]]),
    }
    if LENGTH in module.inputs:
        named[LENGTH] = torch.tensor([len(ids)])
    hidden = module.hidden(named)[0]
    pooled = torch.cat([_pooled(part, module, hidden, named, named[MASK][0]) for part in module.pools])
    staged = module.staged(pooled[None, None].expand(1, 2, -1), named)
    return {DENSE: staged[0, 0].numpy()}


def _headed(
    head: Any,
    module: EncoderGraph,
    named: dict[str, Tensor],
    vector: Tensor | None,
    kept: npt.NDArray[np.bool_],
    read: npt.NDArray[np.bool_],
) -> npt.NDArray[Any]:
    """What a head makes of one text, by its definition: of a model's own head from the whole model's logits."""
    if isinstance(head, heads.WordWeights):
        logits = head.whole.model(**named).logits[0].numpy()[read]
        weights = np.log1p(np.maximum(logits, 0.0))
        weights = np.log1p(weights) if head.twice else weights
        pooled = weights[-1] if head.pooling == "last" else getattr(weights, head.pooling)(axis=0)
        words: Any = head.words
        if words is not None:
            pooled = pooled * words.numpy()
        if head.own:
            allowed = np.isin(np.arange(len(pooled)), named[IDS][0].numpy()[kept])
            pooled = np.where(allowed, pooled, 0.0)
        return np.asarray(pooled * head.scale, dtype=np.float32)
    if isinstance(head, heads.TokenWeights):
        found = head.layer(last(module.read(named)))[0, :, 0].numpy()
        marks: Any = head.words
        out = np.zeros(len(marks), dtype=np.float32)
        for token, weight in zip(named[IDS][0].numpy()[kept], found[kept], strict=True):
            out[token] = max(out[token], weight)
        return np.asarray(out * marks.numpy() * head.scale, dtype=np.float32)
    if isinstance(head, heads.TokenVectors):
        hidden = head.stages(head.reading(module.read(named)))[0].numpy()
        return np.asarray(hidden[kept if head.compact or module.leading else read][: head.count])
    if isinstance(head, heads.MapVectors):
        places = last(module.read(named))[0, head.skip :]
        rows = [head.stages(place[None, None])[0, 0] for place in places]
        return np.asarray(torch.stack(rows).reshape(*head.grid, -1))
    if isinstance(head, heads.PooledVector):
        found = head.hidden(named, module.read(named))[0]
        marks = torch.tensor(kept if head.masked or module.leading else read).long()
        if len(marks) != len(found):  # of pictures, by another body
            marks = (torch.arange(len(found)) >= module.leading).long()
        pooled = torch.cat([_pooled(part, module, found, named, marks) for part in head.pools])
        return np.asarray(head.stages(pooled[None, None].expand(1, 2, -1))[0, 0].numpy())
    if isinstance(head, heads.AnswerLogits):
        said = head.head.whole.model(**named).logits[0, -1, head.ids].numpy()
        return np.asarray(said[:1] - (said[1:] if len(said) > 1 else 0.0))
    if isinstance(head, heads.ModelLogits):
        return np.asarray(head.head.whole.model(**named).logits[0].numpy())
    if isinstance(head, heads.StaticWords):
        table: Any = head.weight
        there = np.isin(np.arange(len(table)), named[IDS][0].numpy()[read])
        return np.where(there, table.numpy(), np.float32(0.0))
    assert vector is not None
    made = head.stages(vector)[0, 0].numpy()
    return np.asarray(np.maximum(made, 0.0) if isinstance(head, heads.VectorWords) else made)


def _pooled(pool: Any, module: EncoderGraph, hidden: Tensor, named: Mapping[str, Tensor], kept: Tensor) -> Tensor:
    """(dim,) of one row's (tokens, dim)."""
    if not isinstance(pool, Pool):
        part: Tensor = pool(hidden[None], kept[None].float())[0]
        return part if part.ndim == 1 else part[0]
    rows = hidden if pool.padding else hidden[kept == 1]
    if pool.mode == "first":
        return rows[0]
    if pool.mode == "last":
        return rows[-1]
    if pool.mode in ("eos", "highest"):
        ids = named[IDS][0]
        if pool.mode == "eos":
            return hidden[int(torch.eq(ids, int(pool.eos_id or 0)).int().argmax())]
        return hidden[int(ids.argmax())]
    if pool.mode == "mask":
        return hidden[int(torch.eq(named[IDS][0], int(pool.mask_id or 0)).nonzero()[-1])]
    if pool.mode == "max":
        return rows.amax(dim=0)
    if pool.mode == "weighted_mean":
        places = (torch.arange(len(hidden))[kept == 1] + 1.0)[:, None]
        return (rows * places).sum(dim=0) / places.sum()
    return rows.sum(dim=0) / (len(rows) ** 0.5 if pool.mode == "mean_sqrt_length" else len(rows))
