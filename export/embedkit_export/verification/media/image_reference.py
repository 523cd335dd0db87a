"""What a model of pictures is given by its own processor: the reference for the steps of a bundle."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from embedkit.bundle.manifest import ImageFrontend
from embedkit.errors import ExportError
from embedkit.runtime.frontends.image.colors import eight_bits, three_colors
from embedkit.runtime.frontends.image.pixels import Prepared, as_picture, prepared
from embedkit_export.plan.plan import RolePlan
from embedkit_export.quiet import quiet, reason
from embedkit_export.recipes.images import ImageInput

LEVEL = 1e-4
"""The largest difference of a number that the graph is given, in deviations; of levels that are not scaled as a share of the largest."""


def pixel_values(frontend: ImageFrontend, given: ImageInput, processor: Any, item: Any) -> Tensor:
    """(1, 3, height, width) float32: by the model's own processor where there is one, else by the definition."""
    if processor is None or isinstance(item, Prepared):
        pixels = torch.from_numpy(prepared(frontend, item).copy())[None].double()
        if frontend.layout == "uint8_nhwc":
            pixels = pixels.permute(0, 3, 1, 2)
        mean, std = (torch.tensor(numbers).reshape(1, 3, 1, 1) for numbers in (given.mean, given.std))
        return ((pixels * given.scale - mean) / std).float()
    picture = eight_bits(as_picture(item))
    if not getattr(processor, "do_convert_rgb", None):
        picture = three_colors(picture, frontend.alpha)
    try:
        with quiet():
            values = processor(images=picture, input_data_format="channels_last", return_tensors="pt")["pixel_values"]
        return torch.as_tensor(np.asarray(values), dtype=torch.float32).reshape(1, 3, *frontend.size)
    except Exception as error:
        raise ExportError(
            f"{type(processor).__name__} makes no picture of {frontend.size[0]} x {frontend.size[1]} of one of {picture.height} x "
            f"{picture.width}: {reason(error)}; mend the model's preprocessor_config.json, or give `image` in the recipe as a table"
        ) from error


def check_pixels(role: str, planned: RolePlan, item: Any) -> None:
    """Raise `ExportError` where the steps of a role give other numbers than the model's own processor."""
    frontend, processor = planned.frontend, planned.processor
    assert isinstance(frontend, ImageFrontend)
    if processor is None or planned.image is None:
        return
    theirs = pixel_values(frontend, planned.image, processor, item)
    mine = pixel_values(frontend, planned.image, None, item)
    difference = float((mine - theirs).abs().max())
    if not difference < LEVEL * max(1.0, float(theirs.abs().max()) / 10):
        raise ExportError(
            f"role {role!r}: the steps give other pixels than {type(processor).__name__}, by up to {difference:.2g}: it does more than "
            "its settings say; give `image` in the recipe as a table, and the export takes its word"
        )


def inked(frontend: ImageFrontend, item: Any, patch: int) -> list[int]:
    """For each patch of a drawn text, row by row, whether a pixel of it is not white."""
    pixels = prepared(frontend, item)
    height, width = pixels.shape[:2]
    return [
        int((pixels[y : y + patch, x : x + patch] != 255).any())
        for y in range(0, height, patch)
        for x in range(0, width, patch)
    ]
