"""How timm's and open_clip's configurations prepare a picture."""

from __future__ import annotations

from typing import Any

from embedkit.bundle.manifest import Crop, Resize, ResizeFilter, Step
from embedkit.errors import ExportError
from embedkit_export.recipes.images import ImageInput

from .preparing import Preparing, filter_of, misstated, numbers_of

OPEN_CLIP = "open_clip_config.json"


def of_timm(found: dict[str, Any], where: str = "config.json") -> Preparing:
    """What timm's ``create_transform`` does for evaluation, from a ``pretrained_cfg``."""
    about = {**found, **(found.get("pretrained_cfg") or {})}
    size = about.get("test_input_size") or about.get("input_size")
    if not isinstance(size, list) or len(size) != 3:
        raise misstated(f"input_size ({where})", "channels, a height and a width", size)
    _, height, width = size
    share = about.get("test_crop_pct") or about.get("crop_pct") or 0.875
    mode = about.get("crop_mode") or "center"
    filter_ = _filter(about, "bilinear", where)
    inner = [int(height / share), int(width / share)]  # timm rounds down
    if mode == "squash":
        steps: list[Step] = [Resize(size=inner, filter=filter_)]
    elif mode == "center":
        sizes = [inner[0]] if inner[0] == inner[1] else inner
        steps = [Resize(size=sizes, fit="shortest", filter=filter_)]
    else:
        raise ExportError(
            f"image: {where}: expected crop_mode center or squash, found {mode!r}; give a table in the recipe"
        )
    steps.append(Crop(size=[height, width], round="half_even"))
    made = ImageInput(size=[height, width], steps=steps, alpha="drop", **_statistics(about, where))
    return Preparing(
        made,
        [
            f"image: resize: input_size / crop_pct ({share}), interpolation, crop_mode of pretrained_cfg ({where})",
            f"image: crop: input_size of pretrained_cfg ({where}), rounded as torchvision does",
            f"image: mean and std of pretrained_cfg ({where})",
        ],
    )


def of_open_clip(found: dict[str, Any], where: str = OPEN_CLIP) -> Preparing:
    """What open_clip's ``image_transform`` does for evaluation, from an ``open_clip_config.json``."""
    about = found["preprocess_cfg"]
    size = about.get("size") or found.get("model_cfg", {}).get("vision_cfg", {}).get("image_size") or 224
    height, width = (size, size) if isinstance(size, int) else size[-2:]
    mode = about.get("resize_mode") or "shortest"
    filter_ = _filter(about, "bicubic", where)
    fill = about.get("fill_color") or 0
    if mode == "squash":
        steps: list[Step] = [Resize(size=[height, width], filter=filter_)]
    elif mode == "shortest":
        sizes = [height] if height == width else [height, width]
        steps = [
            Resize(size=sizes, fit="shortest", filter=filter_),
            Crop(size=[height, width], round="half_even", fill=fill),
        ]
    elif mode == "longest":
        steps = [
            Resize(size=[height, width], fit="longest", filter=filter_),
            Crop(size=[height, width], round="half_even", fill=fill),
        ]
    else:
        raise ExportError(f"image: {where}: expected resize_mode shortest, longest or squash, found {mode!r}")
    clip = {"mean": [0.48145466, 0.4578275, 0.40821073], "std": [0.26862954, 0.26130258, 0.27577711]}
    made = ImageInput(
        size=[height, width], steps=steps, alpha="drop", convert="last", **_statistics({**clip, **about}, where)
    )
    return Preparing(
        made,
        [
            f"image: resize and crop: size, resize_mode, interpolation of preprocess_cfg ({where})",
            "image: to RGB after the steps, as open_clip does",
            f"image: mean and std of preprocess_cfg ({where})",
        ],
    )


def _statistics(about: dict[str, Any], where: str) -> dict[str, Any]:
    return {
        "mean": numbers_of(about.get("mean", [0.0] * 3), f"mean ({where})"),
        "std": numbers_of(about.get("std", [1.0] * 3), f"std ({where})"),
    }


def _filter(about: dict[str, Any], usual: ResizeFilter, where: str) -> ResizeFilter:
    return filter_of(about.get("interpolation") or usual, f"interpolation ({where})")
