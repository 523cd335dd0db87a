"""Which models read pictures, and the parts of what stands beside them."""

from __future__ import annotations

import math

import pytest
import torch

from embedkit_export.sources.media.images import body, logit_scale, processor_of, reads_both, reads_images, tokenizer_of
from helpers.image_models import pair, single


@pytest.mark.parametrize("kind", ["vit", "clip", "resnet"])
def test_of_pictures_alone(kind: str) -> None:
    model, processor = single(kind)
    assert reads_images(model)
    assert not reads_both(model)
    inner = body(model)
    assert (inner is model) is (kind != "clip")
    assert processor_of(processor) is processor
    assert tokenizer_of(processor) is None


def test_of_both() -> None:
    model, tokenizer, _ = pair("siglip")
    assert reads_both(model)
    assert not reads_images(model)
    assert body(model) is model.vision_model
    assert (processor_of(tokenizer), tokenizer_of(tokenizer)) == (None, tokenizer)

    class Both:
        image_processor, tokenizer = "p", "t"

    assert (processor_of(Both()), tokenizer_of(Both())) == ("p", "t")


def test_what_cosines_are_multiplied_by() -> None:
    class Scaled(torch.nn.Module):
        def __init__(self, **numbers: float) -> None:
            super().__init__()
            for name, value in numbers.items():
                setattr(self, name, torch.nn.Parameter(torch.tensor(value)))

    assert logit_scale(Scaled(logit_scale=2.0)) == (pytest.approx(math.exp(2.0)), None)
    assert logit_scale(Scaled(logit_scale=1.0, logit_bias=-10.0)) == (pytest.approx(math.exp(1.0)), -10.0)
    assert logit_scale(Scaled(logit_scale_a=0.5, logit_scale_t=9.0)) == (pytest.approx(math.exp(0.5)), None)
    assert logit_scale(Scaled()) is None
    assert logit_scale(None) is None
