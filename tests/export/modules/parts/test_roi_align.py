"""RoiAlign by its definition, box by box; the operator of a graph is compared in tests/export/test_regions.py."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from embedkit_export import RoiAlign


@pytest.mark.parametrize("aligned", [True, False])
def test_a_plane_is_read_where_the_boxes_are(aligned: bool) -> None:
    """Of a plane a x + b y + c the mean over a bin is the plane at its centre."""
    y, x = torch.meshgrid(torch.arange(16.0), torch.arange(16.0), indexing="ij")
    maps = torch.stack([x, y, 2 * x - y + 3])[None]
    boxes = torch.tensor([[[8.0, 12.0, 40.0, 28.0], [16.0, 16.0, 24.0, 40.0]]])
    found = RoiAlign(4, 0.25, aligned=aligned)(maps, boxes)
    assert found.shape == (1, 2, 3, 4, 4)
    half = 0.5 if aligned else 0.0
    for number, (left, top, right, bottom) in enumerate((boxes[0] * 0.25 - half).tolist()):
        xs = left + (np.arange(4) + 0.5) * (right - left) / 4
        ys = top + (np.arange(4) + 0.5) * (bottom - top) / 4
        assert np.allclose(found[0, number, 0], np.tile(xs, (4, 1)), atol=1e-4)
        assert np.allclose(found[0, number, 1], np.tile(ys[:, None], (1, 4)), atol=1e-4)
        assert np.allclose(found[0, number, 2], 2 * xs - ys[:, None] + 3, atol=1e-4)


def test_each_item_has_boxes_of_its_own() -> None:
    torch.manual_seed(0)
    maps, boxes = torch.randn(3, 2, 8, 8), torch.tensor([[[0.0, 0, 9, 9]], [[4, 4, 30, 20]], [[10, 0, 32, 32]]])
    align = RoiAlign(2, 0.25)
    whole = align(maps, boxes)
    for i in range(3):
        assert torch.equal(whole[i], align(maps[i : i + 1], boxes[i : i + 1])[0])
