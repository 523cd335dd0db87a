"""What a role reads of a picture or a sound."""

from __future__ import annotations

import msgspec
import pytest

from embedkit import InputError
from embedkit_export.plan.detection.media.audio import hearing
from embedkit_export.plan.media import audio_frontend, own_preparing
from embedkit_export.recipes.audio import AudioInput
from embedkit_export.recipes.recipe import Role
from embedkit_export.sources.source import Source
from helpers import audio_models, image_models


def of_sounds(kind: str) -> Source:
    model, extractor = audio_models.single(kind)
    body = model.encoder if kind == "whisper" else model
    return Source(kind, body, None, sounds=True, processor=extractor)


def test_each_mel_has_a_file_of_its_own() -> None:
    origin = of_sounds("whisper")
    found = hearing(origin).audio
    slower = msgspec.structs.replace(found, rate=8_000)  # other filters, although the mel is the same
    cut = msgspec.structs.replace(found, cut="center")
    mels: list[object] = []
    files = [audio_frontend(Role(audio=audio), origin, mels).files for audio in (found, slower, cut)]
    assert files == [("frontend.npz",), ("frontend1.npz",), ("frontend.npz",)]


def test_a_body_of_bands_needs_a_mel() -> None:
    with pytest.raises(InputError, match="WhisperEncoder takes the energies of bands: give `mel`"):
        audio_frontend(Role(audio=AudioInput(rate=16_000)), of_sounds("whisper"), [])
    frontend = audio_frontend(Role(audio="auto"), of_sounds("wav2vec2"), [])
    assert (frontend.batch, frontend.convolutions) == ("equal", [[10, 5], [3, 4], [2, 2]])


def test_the_models_own_preparing_where_the_recipe_says_the_same() -> None:
    origin = of_sounds("whisper")
    processor, image, audio = own_preparing(Role(audio="auto"), origin, None)
    assert (processor, image) == (origin.processor, None)
    assert audio == hearing(origin).audio
    other = msgspec.structs.replace(audio, fill="repeat")  # type: ignore[type-var]
    assert own_preparing(Role(audio=other), origin, None)[0] is None
    assert own_preparing(Role(), origin, None) == (None, None, None)
    model, processor = image_models.single("vit")
    seen = Source("vit", model, None, pictures=True, processor=processor)
    found, image, audio = own_preparing(Role(image="auto"), seen, None)
    assert found is not None
    assert (image is not None, audio) == (True, None)
