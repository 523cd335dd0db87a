"""What a model is given of items with parts, or of numbers, made part by part by the plainest way: the reference."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from embedkit.bundle.manifest import ComposedFrontend, FeaturesFrontend, IdsFrontend, ImageFrontend, Input, TextFrontend
from embedkit.runtime.frontends.image.boxes import moved_boxes
from embedkit_export.modules.parts.backbone import VALUES
from embedkit_export.plan.plan import RolePlan

from .image_reference import pixel_values


def named_tensors(
    planned: RolePlan, inputs: Sequence[Input], item: Any, texts: Callable[..., tuple[list[int], ...]]
) -> dict[str, Tensor]:
    """Tensors of one item, alone and without padding, by the names of ``inputs``: pictures as a body takes them. ``texts`` gives
    ids, mask, types and pooled places of one text."""
    found: dict[tuple[str | None, str], Tensor] = {}
    if isinstance(planned.frontend, ComposedFrontend):
        for name, part in planned.parts.items():
            found |= {
                (name, source): tensor for source, tensor in _of_part(part, item[name], texts, planned, item).items()
            }
    else:
        found |= {(None, source): tensor for source, tensor in _of_part(planned, item, texts, planned, item).items()}
    named: dict[str, Tensor] = {}
    for entry in inputs:
        if entry.choice is not None:
            value = item.get(entry.choice.field, entry.choice.default)
            named[entry.name] = torch.tensor([entry.choice.values[value]])
        else:
            values = VALUES if entry.source == "pixels" else ""  # by the processor, and not by the graph
            named[entry.name + values] = found[entry.part, entry.source]
    return named


def _of_part(
    part: RolePlan, value: Any, texts: Callable[..., tuple[list[int], ...]], whole: RolePlan, item: Any
) -> dict[str, Tensor]:
    frontend = part.frontend
    if isinstance(frontend, ImageFrontend):
        assert part.image is not None
        return {"pixels": pixel_values(frontend, part.image, part.processor, value)}
    if isinstance(frontend, FeaturesFrontend):
        numbers = np.asarray(value, dtype=frontend.dtype)
        if frontend.boxes is not None:
            pictures = whole.parts[frontend.boxes].frontend
            assert isinstance(pictures, ImageFrontend)
            numbers = moved_boxes(pictures, item[frontend.boxes], numbers)
        return {"features": torch.tensor(numbers)[None], "mask": torch.ones(1, len(numbers), dtype=torch.int64)}
    if isinstance(frontend, IdsFrontend):
        ids = [int(number) for number in value]
        ids = ids[-frontend.max :] if frontend.keep == "last" else ids[: frontend.max]
        filling = max(0, frontend.least - len(ids))
        rows = [[*ids, *[frontend.pad_id] * filling], [*[1] * len(ids), *[0] * filling]]
        if frontend.pad == "left":
            rows = [[frontend.pad_id] * filling + ids, [0] * filling + [1] * len(ids)]
        return {"ids": torch.tensor(rows[:1]), "mask": torch.tensor(rows[1:]), "length": torch.tensor([len(ids)])}
    assert isinstance(frontend, TextFrontend)
    read = [torch.tensor([row]) for row in texts(part.tokenizer, frontend, value)]
    found = dict(zip(("ids", "mask", "types", "pool_mask"), read, strict=True))
    return found | {"length": found["mask"].sum(dim=1)}
