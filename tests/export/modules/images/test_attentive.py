"""The attention pooling of SigLIP, with two equal rows."""

from __future__ import annotations

import torch

from embedkit_export.modules.images.attentive import AttentiveHead, is_attentive
from helpers.image_models import single


def test_as_the_models_own_head() -> None:
    model, _ = single("siglip")
    head = model.base_model.head if hasattr(model.base_model, "head") else model.vision_model.head
    assert is_attentive(head)
    assert not is_attentive(torch.nn.Linear(2, 2))
    hidden = torch.randn(3, 17, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        found = AttentiveHead(head)(hidden, torch.ones(3, 17))
        assert found.shape == (3, 2, 32)
        assert torch.allclose(found[:, 0], head(hidden), atol=1e-6)
        assert torch.allclose(found[:, 0], found[:, 1], atol=1e-6)
