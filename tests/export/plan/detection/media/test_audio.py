"""The way by which a model's own vectors of sounds come out."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import transformers as tf

from embedkit import ExportError, InputError
from embedkit_export import prepare
from embedkit_export.plan.detection.media.audio import example, hearing
from embedkit_export.recipes.audio import AudioInput
from embedkit_export.sources.source import Source
from helpers.audio_models import SINGLE, single

SAID = {
    "whisper": "mean of all frames, silence behind the clip too",
    "ast": "mean of the first two tokens, by which pooler_output of ASTModel comes out",
    "clap": "mean, projection",
}


@pytest.mark.parametrize("kind", SINGLE)
def test_pooling(kind: str) -> None:
    found = prepare(single(kind)).text()
    assert SAID.get(kind, "mean of the frames that are the clip's") in found
    assert "channels averaged, resampled to" in found


def source(kind: str = "whisper", processor: Any = None) -> Source:
    model, extractor = single(kind)
    return Source("a model", model, None, sounds=True, processor=extractor if processor is None else processor)


def test_what_is_done_to_a_sound() -> None:
    found = hearing(source())
    assert found.audio.most == 32_000
    table = {"rate": 16_000, "most": 8_000, "fill": "repeatpad", "mel": "auto"}
    given = hearing(source(), table)
    assert (given.audio.most, given.audio.fill, given.extractor) == (8_000, "repeatpad", None)
    assert given.audio.mel == found.audio.mel
    plain = AudioInput(rate=8_000)
    assert hearing(source(), plain).audio is plain
    with pytest.raises(InputError, match=r"recipe: audio: .*`fil"):
        hearing(source(), {"rate": 16_000, "fil": "zeros"})
    with pytest.raises(ExportError, match="nothing says how its sounds are prepared"):
        hearing(Source("a model", torch.nn.Linear(2, 2), None))
    unknown = tf.SeamlessM4TFeatureExtractor()
    with pytest.raises(ExportError, match="SeamlessM4TFeatureExtractor, which is not known here"):
        hearing(source(processor=unknown))


@pytest.mark.parametrize(("kind", "shape"), [("whisper", (3, 80, 200)), ("ast", (3, 100, 32)), ("hubert", (3, 16_000))])
def test_an_example_is_what_the_body_takes(kind: str, shape: tuple[int, ...]) -> None:
    assert tuple(example(hearing(source(kind)).audio, 3).shape) == shape
