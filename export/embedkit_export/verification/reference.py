"""The reference: the model's own vectors from torch, by the plainest way there is.

Each text goes through the transformers tokenizer and the model alone, unpadded (or padded to the fixed length that the
recipe names), in the attention that transformers takes by default; pooling is done on that one row, by its definition.
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
from embedkit.bundle.manifest import AudioFrontend, Choice, IdsFrontend, ImageFrontend, Output, TextFrontend
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

Floats = npt.NDArray[np.float32]


def values(plan: Plan, role: str, items: Sequence[Text], model: Any = None, modality: Any = None) -> dict[str, Values]:
    """What torch makes of each item, by output; through ``model``'s own methods where it is given (a sentence-transformers
    model)."""
    outputs = plan.graphs[plan.roles[role].graph].outputs
    with quiet(), torch.no_grad():
        if model is not None:
            return {name: _own(model, role, [str(item) for item in items], output) for name, output in outputs.items()}
        rows = [_alone(plan, role, item, modality) for item in items]
    return {name: _gathered(output, [row[name] for row in rows]) for name, output in outputs.items()}


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
    ids, mask, types, pool = padded(chosen.tokenizer, frontend, item)
    named = {IDS: torch.tensor([ids]), MASK: torch.tensor([mask])}
    for entry in graph.inputs:
        if entry.choice is not None:
            named[entry.name] = torch.tensor([_chosen(entry.choice, item)])
        elif entry.source == "types":
            named[TYPES] = torch.tensor([types])
    return _headed_and_pooled(graph, named, mask, pool)


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


def padded(tokenizer: Any, frontend: TextFrontend, item: Text) -> tuple[list[int], list[int], list[int], list[int]]:
    """Ids, mask, token types and the places that are pooled of one text, as long as every text is at least."""
    ids, types, pool = tokens(tokenizer, frontend, item)
    mask = [1] * len(ids)
    missing = frontend.least - len(ids)
    if missing > 0:
        ids, mask = ids + [frontend.pad_id] * missing, mask + [int(frontend.padding == "read")] * missing
        types, pool = types + [0] * missing, pool + [int(frontend.padding != "ignored")] * missing
    return ids, mask, types, pool


def _headed_and_pooled(
    graph: GraphPlan, named: dict[str, Tensor], mask: list[int], pool: list[int]
) -> dict[str, npt.NDArray[Any]]:
    """What is made of one item's tensors: ``mask`` tells the tokens that are read, ``pool`` those that are kept."""
    module = graph.module
    out: dict[str, npt.NDArray[Any]] = {}
    vector: Tensor | None = None
    if len(module.pools):
        hidden = module.hidden(named)[0]
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


def sequence(frontend: IdsFrontend, item: Sequence[int]) -> list[int]:
    """The ids of a sequence that are read."""
    ids = [int(number) for number in item]
    return ids[-frontend.max :] if frontend.keep == "last" else ids[: frontend.max]


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


def tokens(tokenizer: Any, frontend: TextFrontend, item: Text) -> tuple[list[int], list[int], list[int]]:
    """Ids, token types and the places that are pooled, as the transformers tokenizer has them."""
    given = {_main(frontend): item} if isinstance(item, str) else dict(item)
    segments, field_ends, before = [""], [], ""
    for part in frontend.template:
        if part.pair:
            segments.append("")
        elif part.field is None:
            segments[-1] += part.lit or ""
        else:
            before = "".join(segments)
            start = len(segments[-1])
            value = given.get(part.field, part.default) or ""
            segments[-1] += value.strip() if part.strip else value
            field_ends.append((len(segments) - 1, start, len(segments[-1])))
    limit, smart = frontend.truncate.max, frontend.truncate.mode == "smart"
    cut = smart and frontend.truncate.applies_to == "all"
    if cut and len(segments) == 2:
        segments = [_enough(tokenizer, segment, limit) for segment in segments]
    encoded = tokenizer(
        *([segment] for segment in segments),  # in lists, because an empty second text would not count alone
        truncation="longest_first" if cut else False,
        max_length=limit if cut else None,
        return_token_type_ids=True,
        return_special_tokens_mask=True,
        return_offsets_mapping=True,
    )
    columns = [encoded[name][0] for name in ("input_ids", "token_type_ids", "special_tokens_mask")]
    kept_places = list(range(len(columns[0])))
    if not smart:
        kept_places = kept_places[:limit]
        columns = [column[:limit] for column in columns]
    elif frontend.truncate.applies_to == "body":
        closing = _closing(tokenizer, frontend)
        if len(kept_places) > limit:
            kept_places = kept_places[: limit - len(closing)] + kept_places[len(kept_places) - len(closing) :]
            columns = [[column[place] for place in kept_places] for column in columns]
            columns[0][limit - len(closing) :] = closing
    elif not cut:
        places = list(range(len(columns[0])))
        spans, owners = encoded["offset_mapping"][0], encoded.sequence_ids(0)
        for segment, start, end in reversed(field_ends):
            for place in reversed(list(places)):
                first, last = spans[place]
                if len(places) > limit and owners[place] == segment and first < end and last > start:
                    places.remove(place)
        columns = [[column[place] for place in places] for column in columns]
        kept_places = places
    ids, types, special = (list(column) for column in columns)
    if frontend.first_token is not None and ids:
        ids[0] = _chosen(frontend.first_token, item)
    pool = [1] * len(ids)
    if frontend.pool_mask and "template" in frontend.pool_mask.drop:
        spans, owners = encoded["offset_mapping"][0], encoded.sequence_ids(0)
        inside = [
            any(owner == segment and span[0] < end and span[1] > start for segment, start, end in field_ends)
            for span, owner in zip(spans, owners, strict=True)
        ]
        pool = [int(inside[place]) for place in kept_places]
    if frontend.pool_mask:
        pool = [0 if token in frontend.pool_mask.ids else kept for token, kept in zip(ids, pool, strict=True)]
    for rule in frontend.pool_mask.drop if frontend.pool_mask else ():
        kind, _, number = rule.partition(":")
        leading = int(number or 1) if kind == "first" else _prefix_tokens(tokenizer, before) if kind == "prefix" else 0
        pool = [0 if i < leading or (kind == "special" and special[i]) else kept for i, kept in enumerate(pool)]
    return ids, types, pool


def _closing(tokenizer: Any, frontend: TextFrontend) -> list[int]:
    """The ids that a text ends with, whatever its fields hold."""
    literal = ""
    for part in frontend.template:
        literal = literal + (part.lit or "") if part.field is None else ""
    before = "".join((part.lit or "0") for part in frontend.template).removesuffix(literal)
    encoded = tokenizer(before + literal, return_offsets_mapping=True, return_special_tokens_mask=True)
    ids: list[int] = encoded["input_ids"]
    spans, special = encoded["offset_mapping"], encoded["special_tokens_mask"]
    inside = [
        i for i, (span, added) in enumerate(zip(spans, special, strict=True)) if not added and span[0] < len(before)
    ]
    return ids[inside[-1] + 1 :] if inside else ids


def _prefix_tokens(tokenizer: Any, text: str) -> int:
    if not text:
        return 0
    encoded = tokenizer(text, return_special_tokens_mask=True)
    special = encoded["special_tokens_mask"]
    while special and special[-1]:
        special = special[:-1]
    return len(special)


def _enough(tokenizer: Any, text: str, limit: int) -> str:
    """A beginning of the text with more tokens than the limit, or all of it: what comes after cannot matter, and the
    library's cut of a pair takes time and memory that grow with the product of the two lengths."""
    beginning = text[: 10 * limit + 100]
    return beginning if len(tokenizer(beginning, add_special_tokens=False)["input_ids"]) > limit else text


def _main(frontend: TextFrontend) -> str:
    names = [str(part.field) for part in frontend.template if part.field]
    required = [str(part.field) for part in frontend.template if part.field and part.default is None]
    return required[0] if required else "text" if "text" in names else names[0]


def _chosen(choice: Choice, item: Text) -> int:
    value = choice.default if isinstance(item, str) else item.get(choice.field, choice.default)
    return choice.values[value or ""]
