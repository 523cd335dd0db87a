"""Region vectors of a feature map: RoiAlign (He et al. 2017), one operator of the graph."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class RoiAlign(nn.Module):
    """(batch, channels, height, width) maps and (batch, n, 4) boxes (left, top, right, bottom, in pixels of the picture) ->
    (batch, n, channels, size, size). ``scale`` is the map's size over the picture's, and ``samples`` the places (an edge) that are
    read for each number; with ``aligned`` a pixel's centre is where it is, half a pixel from its corner."""

    def __init__(self, size: int, scale: float, *, samples: int = 2, aligned: bool = True) -> None:
        super().__init__()
        self.size, self.scale, self.samples, self.aligned = size, scale, samples, aligned

    def forward(self, maps: Tensor, boxes: Tensor) -> Tensor:
        """By the operator of ONNX where a graph is captured, by its definition elsewhere."""
        batch, channels = maps.shape[0], maps.shape[1]
        n = boxes.shape[1]
        if not torch.compiler.is_exporting():
            return self._defined(maps, boxes)
        flat = boxes.reshape(-1, 4)
        owners = torch.arange(batch)[:, None].expand(-1, n).reshape(-1)
        found: Tensor = torch.onnx.ops.symbolic(
            "RoiAlign",
            (maps, flat, owners),
            {
                "mode": "avg",
                "output_height": self.size,
                "output_width": self.size,
                "sampling_ratio": self.samples,
                "spatial_scale": float(self.scale),
                "coordinate_transformation_mode": "half_pixel" if self.aligned else "output_half_pixel",
            },
            dtype=maps.dtype,
            shape=(flat.shape[0], channels, self.size, self.size),
            version=16,
        )
        return found.reshape(batch, n, channels, self.size, self.size)

    def _defined(self, maps: Tensor, boxes: Tensor) -> Tensor:
        half = 0.5 if self.aligned else 0.0
        places = boxes * self.scale - half
        left, top, right, bottom = places.unbind(-1)
        width, height = right - left, bottom - top
        if not self.aligned:
            width, height = width.clamp(min=1.0), height.clamp(min=1.0)
        steps = (torch.arange(self.size * self.samples) + 0.5) / (self.size * self.samples)
        ys = top[..., None] + steps * height[..., None]  # (batch, n, size * samples)
        xs = left[..., None] + steps * width[..., None]
        rows = [
            torch.stack([_sampled(one, y, x, self.samples) for y, x in zip(ys_of, xs_of, strict=True)])
            for one, ys_of, xs_of in zip(maps, ys, xs, strict=True)
        ]
        return torch.stack(rows)


def _sampled(one: Tensor, y: Tensor, x: Tensor, samples: int) -> Tensor:
    """(channels, size, size) of a map (channels, h, w) read between its places at all pairs of y and x, and averaged."""
    parts = []
    for place, edge in ((y, one.shape[1]), (x, one.shape[2])):
        inside = ((place >= -1) & (place <= edge)).to(one.dtype)
        at = place.clamp(min=0.0)
        low = at.floor().clamp(max=edge - 1)
        high = (low + 1).clamp(max=edge - 1)
        share = torch.where(low >= edge - 1, torch.zeros_like(at), at - low)
        parts.append((low.long(), high.long(), share, inside))
    (y0, y1, ty, in_y), (x0, x1, tx, in_x) = parts

    def read(rows: Tensor, columns: Tensor) -> Tensor:
        return one[:, rows][:, :, columns]

    above = read(y0, x0) * (1 - tx) + read(y0, x1) * tx
    below = read(y1, x0) * (1 - tx) + read(y1, x1) * tx
    values = (above * (1 - ty)[:, None] + below * ty[:, None]) * in_y[:, None] * in_x
    pooled: Tensor = nn.functional.avg_pool2d(values[None], samples)[0]
    return pooled
