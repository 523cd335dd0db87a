"""How a model's own files prepare a picture: by transformers' image processors, or as timm's and open_clip's configurations say."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from embedkit.bundle.manifest import Crop, Resize, Step
from embedkit.errors import ExportError
from embedkit_export.quiet import quiet, reason
from embedkit_export.recipes.images import ImageInput

from .preparing import Preparing, filter_of, misstated, number_of, numbers_of, sizes
from .transforms import OPEN_CLIP, of_open_clip, of_timm

PREPROCESSOR, PROCESSOR = "preprocessor_config.json", "processor_config.json"
_DINOV3 = {
    "image_mean": [0.485, 0.456, 0.406],
    "image_std": [0.229, 0.224, 0.225],
    "size": {"height": 224, "width": 224},
}
"""What its processor has where a file does not say it."""
_LARGE = 384
"""From this size on a ConvNeXt is given squashed pictures."""


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
    own = found.get("image_processor")
    found = own if isinstance(own, dict) else found  # of a processor of texts and pictures
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

    size = sizes(getattr(processor, "size", None))
    if getattr(processor, "do_resize", False):
        filter_ = filter_of(getattr(processor, "resample", None), f"resample of {source}")
        shortest = size.get("shortest_edge")
        if kind.startswith("ConvNext") and shortest is not None:
            inner = int(shortest / (getattr(processor, "crop_pct", None) or 224 / 256))
            if shortest < _LARGE:
                add(Resize(size=[inner], fit="shortest", filter=filter_), "size / crop_pct, resample")
                add(Crop(size=[shortest, shortest], pad="ceil"), "size below 384")
            else:
                add(Resize(size=[shortest, shortest], filter=filter_), "size of 384 or more, resample")
        elif shortest is not None and "longest_edge" not in size:
            inner, said = _shortest(kind, processor, shortest)
            add(Resize(size=[inner], fit="shortest", filter=filter_), f"{said}, resample")
        elif "height" in size and "width" in size:
            add(Resize(size=[size["height"], size["width"]], filter=filter_), "size, resample")
        else:
            raise ExportError(
                f"image: {source} resizes to {size}, which gives pictures of several sizes; give a fixed size as a table in the recipe"
            )
    crop = sizes(getattr(processor, "crop_size", None))
    if getattr(processor, "do_center_crop", False):
        if "height" not in crop or "width" not in crop:
            raise misstated(f"crop_size of {source}", "a height and a width", crop or None)
        add(Crop(size=[crop["height"], crop["width"]], pad="ceil"), "crop_size, rounded down")
    final = _final(steps)
    if final is None:
        raise ExportError(f"image: {source} leaves pictures of any size; give their size as a table in the recipe")
    _no_padding(processor, source, final)
    converts = getattr(processor, "do_convert_rgb", None)
    alpha: Any = "white" if converts else "drop"
    reasons.append(
        f"image: transparency: do_convert_rgb of {source}"
        if converts
        else f"image: transparency dropped: {source} takes pictures in RGB (do_convert_rgb is not set)"
    )
    scale = (
        number_of(processor.rescale_factor, f"rescale_factor of {source}")
        if getattr(processor, "do_rescale", False)
        else 1.0
    )
    numbers: dict[str, Any] = {}
    if getattr(processor, "do_normalize", False) and not kind.startswith("MobileViT"):  # which has no such step
        numbers = _stated(processor, source)
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
    size = sizes(getattr(processor, "size", None))
    if "height" not in size or "width" not in size or getattr(processor, "do_center_crop", None):
        raise ExportError(
            f"image: {source} resizes to {size}; expected a height and a width; give a table in the recipe"
        )
    shape = [size["height"], size["width"]]
    if not getattr(processor, "do_resize", True):
        raise ExportError(f"image: {source} leaves pictures of any size; give their size as a table in the recipe")
    _no_padding(processor, source, shape)
    filter_ = filter_of(getattr(processor, "resample", 2), f"resample of {source}")
    numbers: dict[str, Any] = _stated(processor, source) if getattr(processor, "do_normalize", True) else {}
    rescaled = bool(getattr(processor, "do_rescale", True))
    scale = (
        number_of(getattr(processor, "rescale_factor", None) or 1 / 255, f"rescale_factor of {source}")
        if rescaled
        else 1.0
    )
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
        std = [
            number * again
            for number, again in zip(std, numbers_of(processor.image_std, f"image_std of {source}"), strict=True)
        ]
        reasons.append(f"image: divided by image_std once more: include_top of {source}")
    return {"mean": mean, "std": std}


def _shortest(kind: str, processor: Any, edge: int) -> tuple[int, str]:
    """The length that the shortest edge becomes before the crop, and the settings that say so."""
    if kind.startswith("Levit"):
        return int(256 / 224 * edge), "size.shortest_edge * 256 / 224"
    share = getattr(processor, "crop_pct", None) if kind.startswith("PoolFormer") else None
    return (edge, "size.shortest_edge") if share is None else (int(edge / share), "size.shortest_edge / crop_pct")


def _no_padding(processor: Any, source: str, final: list[int]) -> None:
    """`ExportError` for a processor that pads its pictures, unless they have the size already."""
    if not getattr(processor, "do_pad", False):
        return
    pad = sizes(getattr(processor, "pad_size", None))
    if [pad.get("height"), pad.get("width")] != final:
        where = "to pad_size, behind its normalisation" if pad else "to the largest picture of a batch"
        raise ExportError(
            f"image: do_pad: {source} pads {where}, which a bundle does not; set do_pad to false in the model's files, or give a fixed size as "
            "a table in the recipe"
        )


def _stated(processor: Any, source: str) -> dict[str, list[float]]:
    """The mean and the deviation that a processor states."""
    return {
        name: numbers_of(getattr(processor, f"image_{name}", None), f"image_{name} of {source}")
        for name in ("mean", "std")
    }


def _refuse(kind: str, where: str) -> None:
    """`ExportError` for processors whose pictures have no fixed size."""
    if kind.startswith("Siglip2"):
        raise ExportError(
            f"image: {kind}{f' ({where})' if where else ''} cuts pictures into a number of patches that differs from one to another (NaFlex), "
            "which is not exported; take a SigLIP 2 checkpoint of a fixed size, such as siglip2-base-patch16-224"
        )


def _final(steps: list[Step]) -> list[int] | None:
    """The size after all steps, where every picture gets it."""
    fixed = [step.size for step in steps if not isinstance(step, Resize) or step.fit == "squash"]
    return list(fixed[-1]) if fixed else None


def _json(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ExportError(f"{file}: cannot be read: {error}; save or fetch the model again") from error
    return found if isinstance(found, dict) else {}
