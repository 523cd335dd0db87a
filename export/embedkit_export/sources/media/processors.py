"""How a model's own files prepare a picture: transformers' image processors, timm's and open_clip's configurations."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from embedkit.bundle.manifest import Crop, Pad, Resize, ResizeFilter, Step
from embedkit.errors import ExportError
from embedkit_export.quiet import quiet, reason
from embedkit_export.recipes.images import ImageInput

PREPROCESSOR, PROCESSOR, OPEN_CLIP = "preprocessor_config.json", "processor_config.json", "open_clip_config.json"
_FILTERS: dict[int, ResizeFilter] = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic", 4: "box", 5: "hamming"}
"""Pillow's numbers."""
_DINOV3 = {
    "image_mean": [0.485, 0.456, 0.406],
    "image_std": [0.229, 0.224, 0.225],
    "size": {"height": 224, "width": 224},
}
"""What its processor has where a file does not say it."""
_LARGE = 384
"""From this size on a ConvNeXt is given squashed pictures."""


@dataclass(frozen=True)
class Preparing:
    """What is done to a picture, why, and (where transformers has it) the processor that does the same."""

    image: ImageInput
    reasons: list[str] = field(default_factory=list)
    processor: Any = None


def of_folder(folder: Path | None) -> Preparing | None:
    """What the files of a model's folder say; None where they say nothing. Raises `ExportError` for what cannot be done."""
    if folder is None:
        return None
    for name in (PREPROCESSOR, PROCESSOR):
        if (folder / name).is_file():
            return of_file(folder / name)
    for name in (OPEN_CLIP, "config.json"):
        found = _json(folder / name) if (folder / name).is_file() else {}
        if "preprocess_cfg" in found or "pretrained_cfg" in found:
            return of_file(folder / name)
    return None


def of_file(file: Path) -> Preparing:
    """What one such file says."""
    found = _json(file)
    if "preprocess_cfg" in found:
        return of_open_clip(found, file.name)
    if "pretrained_cfg" in found:
        return of_timm(found, file.name)
    named = str(found.get("image_processor_type") or "")
    _refuse(named, file.name)
    if named.startswith("DINOv3"):
        return of_floats(SimpleNamespace(**{**_DINOV3, **found}), named, file.name)
    from transformers import AutoImageProcessor

    try:
        with quiet():
            processor = AutoImageProcessor.from_pretrained(file.parent, backend="pil")
    except Exception as error:
        raise ExportError(
            f"{file}: no image processor of transformers can be made of it: {reason(error)}; give a table in the recipe (image = {{...}})"
        ) from error
    return of_processor(processor, file.name)


def of_processor(processor: Any, where: str = "") -> Preparing:
    """What an image processor of transformers does, by its settings. Raises `ExportError` naming what a bundle cannot do."""
    kind = type(processor).__name__.removesuffix("Pil").removesuffix("Fast")
    _refuse(kind, where)
    if kind.startswith("DINOv3"):
        return of_floats(processor, kind, where)
    source = f"{kind}{f' ({where})' if where else ''}"
    steps: list[Step] = []
    reasons: list[str] = []

    def add(step: Step, settings: str) -> None:
        steps.append(step)
        reasons.append(f"image: {type(step).__name__.lower()}: {settings} of {source}")

    get = processor.__dict__.get
    size = _sizes(getattr(processor, "size", None))
    if getattr(processor, "do_resize", False):
        filter_ = _FILTERS[int(getattr(processor, "resample", None) or 0)]
        shortest = size.get("shortest_edge")
        if kind.startswith("ConvNext") and shortest is not None:
            inner = int(shortest / (getattr(processor, "crop_pct", None) or 224 / 256))
            if shortest < _LARGE:
                add(Resize(size=[inner], fit="shortest", filter=filter_), "size / crop_pct, resample")
                add(Crop(size=[shortest, shortest], pad="ceil"), "size below 384")
            else:
                add(Resize(size=[shortest, shortest], filter=filter_), "size of 384 or more, resample")
        elif shortest is not None and "longest_edge" not in size:
            add(Resize(size=[shortest], fit="shortest", filter=filter_), "size.shortest_edge, resample")
        elif "height" in size and "width" in size:
            add(Resize(size=[size["height"], size["width"]], filter=filter_), "size, resample")
        else:
            raise ExportError(
                f"image: {source} resizes to {size}, which gives pictures of several sizes; give a fixed size as a table in the recipe"
            )
    crop = _sizes(getattr(processor, "crop_size", None))
    if getattr(processor, "do_center_crop", False):
        edge = crop.get("shortest_edge", 0)
        add(Crop(size=[crop.get("height", edge), crop.get("width", edge)], pad="ceil"), "crop_size, rounded down")
    if getattr(processor, "do_pad", False):
        pad = _sizes(getattr(processor, "pad_size", None) or get("pad_size"))
        if "height" not in pad:
            raise ExportError(f"image: {source} pads to the largest picture of a batch; give a fixed size as a table")
        add(Pad(size=[pad["height"], pad["width"]], place="corner"), "pad_size")
    final = _final(steps)
    if final is None:
        raise ExportError(f"image: {source} leaves pictures of any size; give their size as a table in the recipe")
    converts = getattr(processor, "do_convert_rgb", None)
    alpha: Any = "white" if converts else "drop"
    reasons.append(
        f"image: transparency: do_convert_rgb of {source}"
        if converts
        else f"image: transparency dropped: {source} takes pictures in RGB (do_convert_rgb is not set)"
    )
    scale = float(processor.rescale_factor) if getattr(processor, "do_rescale", False) else 1.0
    numbers: dict[str, Any] = {}
    if getattr(processor, "do_normalize", False) and not kind.startswith("MobileViT"):  # which has no such step
        numbers = {"mean": _three(processor.image_mean), "std": _three(processor.image_std)}
    if kind.startswith("EfficientNet"):
        numbers = _efficient(processor, numbers, reasons, source)
    reasons.append(f"image: scale, mean and std: rescale_factor, image_mean, image_std of {source}")
    flips = hasattr(type(processor), "do_flip_channel_order") and processor.do_flip_channel_order  # others pay no heed
    color: Any = "BGR" if flips else "RGB"
    made = ImageInput(size=final, steps=steps, alpha=alpha, color=color, scale=scale, **numbers)
    return Preparing(made, reasons, processor)


def of_floats(processor: Any, kind: str, where: str = "") -> Preparing:
    """What DINOv3's processor does: levels in floating point, resized so, and never rounded."""
    source = f"{kind}{f' ({where})' if where else ''}"
    size = _sizes(getattr(processor, "size", None))
    if "height" not in size or "width" not in size or getattr(processor, "do_center_crop", None):
        raise ExportError(
            f"image: {source} resizes to {size}; expected a height and a width; give a table in the recipe"
        )
    shape = [size["height"], size["width"]]
    if not getattr(processor, "do_resize", True):
        raise ExportError(f"image: {source} leaves pictures of any size; give their size as a table in the recipe")
    filter_ = _FILTERS[int(getattr(processor, "resample", 2))]
    numbers: dict[str, Any] = {}
    if getattr(processor, "do_normalize", True):
        numbers = {"mean": _three(processor.image_mean), "std": _three(processor.image_std)}
    rescaled = bool(getattr(processor, "do_rescale", True))
    scale = float(getattr(processor, "rescale_factor", None) or 1 / 255) if rescaled else 1.0
    alpha: Any = "white" if getattr(processor, "do_convert_rgb", None) else "drop"
    step = Resize(size=shape, filter=filter_, engine="float")
    made = ImageInput(size=shape, steps=[step], alpha=alpha, scale=scale, **numbers)
    reasons = [
        f"image: resize: size, resample of {source}, in floating point, as it scales levels before it",
        f"image: scale, mean and std: rescale_factor, image_mean, image_std of {source}",
    ]
    return Preparing(made, reasons)


def _efficient(processor: Any, numbers: dict[str, Any], reasons: list[str], source: str) -> dict[str, Any]:
    """EfficientNet's numbers: 1 taken off what was scaled (``rescale_offset``), and the deviation once more (``include_top``)."""
    mean, std = numbers.get("mean", [0.0] * 3), numbers.get("std", [1.0] * 3)
    if getattr(processor, "do_rescale", False) and getattr(processor, "rescale_offset", False):
        mean = [number + 1.0 for number in mean]
        reasons.append(f"image: 1 taken off the scaled levels: rescale_offset of {source}")
    if getattr(processor, "include_top", False):
        std = [number * again for number, again in zip(std, _three(processor.image_std), strict=True)]
        reasons.append(f"image: divided by image_std once more: include_top of {source}")
    return {"mean": mean, "std": std}


def _refuse(kind: str, where: str) -> None:
    """`ExportError` for processors whose pictures have no fixed size."""
    if kind.startswith("Siglip2"):
        raise ExportError(
            f"image: {kind}{f' ({where})' if where else ''} cuts pictures into a number of patches that differs from one to another (NaFlex), "
            "which is not exported; take a SigLIP 2 checkpoint of a fixed size, such as siglip2-base-patch16-224"
        )


def of_timm(found: dict[str, Any], where: str = "config.json") -> Preparing:
    """What timm's ``create_transform`` does for evaluation, from a ``pretrained_cfg``."""
    about = {**found, **found.get("pretrained_cfg", {})}
    _, height, width = about.get("test_input_size") or about["input_size"]
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
    made = ImageInput(size=[height, width], steps=steps, alpha="drop", **_statistics(about))
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
    made = ImageInput(size=[height, width], steps=steps, alpha="drop", convert="last", **_statistics({**clip, **about}))
    return Preparing(
        made,
        [
            f"image: resize and crop: size, resize_mode, interpolation of preprocess_cfg ({where})",
            "image: to RGB after the steps, as open_clip does",
            f"image: mean and std of preprocess_cfg ({where})",
        ],
    )


def _statistics(about: dict[str, Any]) -> dict[str, Any]:
    return {"mean": _three(about.get("mean", [0.0] * 3)), "std": _three(about.get("std", [1.0] * 3))}


def _three(given: Any) -> list[float]:
    return [float(given)] * 3 if isinstance(given, int | float) else [float(number) for number in given]


def _sizes(given: Any) -> dict[str, int]:
    """The sizes that a processor states, by name."""
    if given is None:
        return {}
    if isinstance(given, int):
        return {"height": given, "width": given}
    names = ("height", "width", "shortest_edge", "longest_edge", "max_height", "max_width")
    values = {name: given.get(name) if isinstance(given, dict) else getattr(given, name, None) for name in names}
    return {name: int(value) for name, value in values.items() if value}


def _final(steps: list[Step]) -> list[int] | None:
    """The size after all steps, where every picture gets it."""
    sizes = [step.size for step in steps if not isinstance(step, Resize) or step.fit == "squash"]
    return list(sizes[-1]) if sizes else None


def _json(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ExportError(f"{file}: cannot be read: {error}; save or fetch the model again") from error
    return found if isinstance(found, dict) else {}


def _filter(about: dict[str, Any], usual: ResizeFilter, where: str) -> ResizeFilter:
    name = about.get("interpolation") or usual
    for known in _FILTERS.values():
        if name == known:
            return known
    raise ExportError(
        f"image: {where}: expected interpolation to be one of {', '.join(sorted(_FILTERS.values()))}, found {name!r}; give a table "
        "in the recipe"
    )
