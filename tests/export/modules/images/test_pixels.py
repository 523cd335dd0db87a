"""Scale and statistics in the graph are those of the processor."""

from __future__ import annotations

import numpy as np
import torch

from embedkit_export.modules.images.pixels import PixelBackbone, as_tokens
from embedkit_export.sources.media.processors import of_processor
from helpers.image_models import single
from helpers.pictures import drawn


def test_the_body_is_given_what_the_processor_gives() -> None:
    model, processor = single("clip")
    backbone = PixelBackbone(model.vision_model, of_processor(processor).image)
    picture = drawn(32, 32)
    expected = processor(picture, return_tensors="pt")["pixel_values"]
    pixels = torch.from_numpy(np.array(picture))[None]
    assert (backbone.values(pixels) - expected).abs().max() < 1e-6
    with torch.no_grad():
        hidden = backbone(pixels).last_hidden_state
        assert torch.allclose(hidden, model.vision_model(expected).last_hidden_state, atol=1e-5)
        states = backbone(pixels, output_hidden_states=True).hidden_states
    assert len(states) == 3


def test_maps_are_tokens_row_by_row() -> None:
    maps = torch.arange(2 * 3 * 2 * 4.0).reshape(2, 3, 2, 4)
    tokens = as_tokens(maps)
    assert tokens.shape == (2, 8, 3)
    assert tokens[1, 5].tolist() == maps[1, :, 1, 1].tolist()
    assert as_tokens(torch.ones(2, 3)).shape == (2, 2, 3)
