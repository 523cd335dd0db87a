"""The queries of BLIP-2 are its own."""

from __future__ import annotations

import torch

from embedkit_export.modules.images.queries import is_querying, queried
from helpers.image_models import querying, single


def test_what_the_queries_read() -> None:
    model, _ = querying()
    values = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    assert is_querying(model)
    assert not is_querying(single("vit")[0])
    with torch.no_grad():
        found = torch.nn.functional.normalize(model.vision_projection(queried(model, values)), dim=-1)
        assert torch.allclose(found, model(values).image_embeds, atol=1e-6)
