"""Options that are refused before a model is loaded."""

from __future__ import annotations

from typing import Any

import pytest
import transformers as tf
from torch import Tensor, nn

from embedkit.errors import InputError
from embedkit_export import Recipe, Role
from embedkit_export.plan.prepare import prepare
from embedkit_export.sources.media.extractors import of_extractor
from helpers import models
from helpers.image_models import EDGE, SIZE, single


@pytest.mark.parametrize(
    ("options", "message"),
    [({"max_tokens": 2}, "max_tokens: expected at least 3, found 2"), ({"kind": "odd"}, "kind: .*found 'odd'")],
)
def test_options_are_refused_before_the_model_is_looked_for(options: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        prepare("/no/such/model", **options)


class Composed(nn.Module):
    """A module whose items are a picture with a text, and one of pictures alone."""

    def __init__(self) -> None:
        super().__init__()
        self.target = single("clip")[0].vision_model
        self.query = Both(self.target)


class Both(nn.Module):
    def __init__(self, pictures: nn.Module) -> None:
        super().__init__()
        self.pictures, self.words = pictures, nn.Embedding(300, 32)

    def forward(self, image: Tensor, text: Tensor, text_mask: Tensor) -> Tensor:
        words = (self.words(text) * text_mask[..., None]).sum(dim=1, keepdim=True)
        return self.pictures(image).last_hidden_state + words


def test_a_dry_run_tells_each_step_and_where_it_comes_from() -> None:
    processor = tf.CLIPProcessor(tf.CLIPImageProcessorPil(size=EDGE, crop_size=SIZE), models.make_tokenizer("word"))
    roles = {
        "query": Role(
            module="query", parts={"image": Role(image="auto"), "text": Role(max_tokens=16)}, pooling="first"
        ),
        "document": Role(module="target", image="auto", pooling="first"),
    }
    said = prepare((Composed().eval(), processor), recipe=Recipe(roles=roles)).text().splitlines()
    steps = [
        "upright as EXIF says, 16 bits scaled to 8",
        "to RGB, transparency on white",
        "resize to 32: fit shortest, filter bicubic, engine pillow",
        "crop to 32 x 32 (height x width): round floor, pad ceil, fill 0",
    ]
    sources = [
        "image: resize: size.shortest_edge, resample of CLIPImageProcessor",
        "image: crop: crop_size, rounded down of CLIPImageProcessor",
        "image: transparency: do_convert_rgb of CLIPImageProcessor",
        "image: scale, mean and std: rescale_factor, image_mean, image_std of CLIPImageProcessor",
    ]
    for name in ("", "image: "):  # of the pictures alone, and of those that are a part
        for line in steps:
            assert f"  step      {name}{line}" in said
        for reason in sources:
            assert f"  because   {name}{reason}" in said


@pytest.mark.parametrize(
    ("extractor", "sources"),
    [
        (tf.Wav2Vec2FeatureExtractor(), ["rate: sampling_rate", "mean and deviation of the clip: do_normalize"]),
        (
            tf.WhisperFeatureExtractor(),
            [
                "rate: sampling_rate",
                "cut and filled with zeros: chunk_length",
                "frames: n_fft, hop_length",
                "bands: feature_size",
            ],
        ),
        (
            tf.ClapFeatureExtractor(),
            ["cut: truncation", "filled: padding", "length: nb_max_samples", "bands: feature_size"],
        ),
        (
            tf.ASTFeatureExtractor(),
            ["length: max_length", "bands: num_mel_bins", "shift and division: do_normalize, mean"],
        ),
    ],
)
def test_each_step_of_a_sound_has_its_setting(extractor: Any, sources: list[str]) -> None:
    reasons = of_extractor(extractor).reasons
    for source in sources:
        assert sum(reason.startswith(f"audio: {source}") for reason in reasons) == 1
    assert all(type(extractor).__name__ in reason for reason in reasons)
