"""Which models read pictures, and the parts of what stands beside them."""

from __future__ import annotations

import pytest

from embedkit_export.sources.media.images import body, processor_of, reads_both, reads_images, tokenizer_of
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
