"""Keys of transformers' processors of pictures and sounds: those that change what a model is given are honoured, or refused by name."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import transformers as tf

from embedkit import Audio
from embedkit.errors import ExportError
from embedkit.runtime.frontends.audio.batches import AudioPreparer
from embedkit.runtime.frontends.audio.mel import MelBank
from embedkit_export.quiet import quiet
from embedkit_export.recipes.audio import MelInput
from embedkit_export.sources.media.extractors import of_extractor
from embedkit_export.sources.media.processors import of_processor
from embedkit_export.verification.media.image_reference import pixel_values
from helpers.audio_models import sound
from helpers.pictures import drawn, with_alpha

pytestmark = pytest.mark.filterwarnings("ignore:At least one mel filter has all zero values")

SIZE, OTHER, EDGE = {"height": 24, "width": 24}, {"height": 24, "width": 20}, {"shortest_edge": 26}
CROP = {"size": EDGE, "crop_size": SIZE}
SMALL: dict[str, dict[str, Any]] = {
    "CLIP": CROP, "Bit": CROP, "Levit": CROP, "PoolFormer": CROP, "Siglip": {"size": SIZE}, "ViT": {"size": SIZE}, "Blip": {"size": SIZE},
    "DeiT": {"size": {"height": 28, "width": 28}, "crop_size": SIZE}, "ConvNext": {"size": {"shortest_edge": 24}},
    "EfficientNet": {"size": SIZE, "crop_size": SIZE}, "MobileNetV1": CROP, "MobileNetV2": CROP, "MobileViT": CROP,
}  # fmt: skip
"""What a model's files say of a processor, before a key is changed."""
EVERYWHERE: list[dict[str, Any]] = [
    *({"resample": number} for number in range(6)),
    {"do_rescale": False},
    {"rescale_factor": 1 / 127.5},
    {"image_mean": 0.3, "image_std": [0.3, 0.2, 0.1]},
    {"do_normalize": False},
    {"do_convert_rgb": True},
    {"do_convert_rgb": False},
    {"do_center_crop": True, "crop_size": {"height": 18, "width": 22}},
    {"do_center_crop": True, "crop_size": {"height": 70, "width": 40}},
    {"do_resize": False, "do_center_crop": True, "crop_size": SIZE},
    {"do_flip_channel_order": True},
    {"do_flip_channel_order": False},
    {"data_format": "channels_last"},
    {"do_reduce_labels": True},
    {"size_divisor": 32},
    {"do_pad": False, "pad_size": SIZE},
]
"""Keys that every processor takes, whether it reads them or not."""
OWN: list[tuple[str, dict[str, Any]]] = [
    *((kind, {"size": OTHER}) for kind in ("Siglip", "ViT", "Blip", "EfficientNet")),
    *((kind, {"size": {"shortest_edge": 40}}) for kind in ("CLIP", "Bit", "ConvNext", "MobileNetV1", "Levit")),
    ("ConvNext", {"crop_pct": 0.7}),
    ("ConvNext", {"size": {"shortest_edge": 384}}),
    ("PoolFormer", {"crop_pct": 0.7}),
    ("EfficientNet", {"rescale_offset": True}),
    ("EfficientNet", {"include_top": False}),
    ("EfficientNet", {"rescale_offset": True, "rescale_factor": 1 / 127.5}),
    ("MobileViT", {"do_flip_channel_order": False}),
    ("CLIP", {"size": 30, "crop_size": 22}),
    ("CLIP", {"size": SIZE, "do_center_crop": False}),
    ("ViT", {"do_pad": True, "pad_size": SIZE}),
]
"""Keys of some, which change what the model is given, and padding of what has the size already."""
PICTURES = (drawn(41, 30, 1), drawn(25, 47, 2), with_alpha(50, 33, 3), drawn(33, 32, 4).convert("L"))


def processor(kind: str, change: dict[str, Any]) -> Any:
    with quiet():
        return getattr(tf, f"{kind}ImageProcessorPil")(**{**SMALL[kind], **change})


def agree(made: Any) -> None:
    """The steps give what the processor gives; to what float32 keeps of them."""
    given = of_processor(made).image
    frontend = given.frontend()
    for picture in PICTURES:
        theirs = pixel_values(frontend, given, made, picture)
        mine = pixel_values(frontend, given, None, picture)
        assert torch.allclose(mine, theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", SMALL)
def test_keys_of_every_processor_of_pictures(kind: str) -> None:
    agree(processor(kind, {}))
    for change in EVERYWHERE:
        agree(processor(kind, change))


@pytest.mark.parametrize(("kind", "change"), OWN)
def test_keys_of_a_processor_of_pictures(kind: str, change: dict[str, Any]) -> None:
    agree(processor(kind, change))


SIZES = {"shortest_edge": 24, "longest_edge": 30}


@pytest.mark.parametrize("kind", ["CLIP", "ViT", "EfficientNet", "MobileNetV2"])
@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"do_pad": True, "pad_size": {"height": 60, "width": 60}}, "do_pad: .* pads to pad_size"),
        ({"do_pad": True}, "do_pad: .* the largest picture of a batch"),
        ({"size": SIZES}, "resizes to .*longest_edge"),
        ({"size": {"max_height": 24, "max_width": 24}}, "resizes to .*max_height"),
        ({"do_resize": False, "do_center_crop": False}, "pictures of any size"),
        ({"do_center_crop": True, "crop_size": {"shortest_edge": 20}}, "crop_size of .*expected a height and a width"),
        ({"resample": None}, "resample of .*found None"),
        ({"resample": 9}, "resample of .*found 9"),
        ({"rescale_factor": None}, "rescale_factor of .*found None"),
        ({"image_mean": [0.5, 0.5]}, "image_mean of .*a number, or three"),
        ({"image_std": "wide"}, "image_std of .*found 'wide'"),
    ],
)
def test_keys_of_pictures_that_are_refused(kind: str, change: dict[str, Any], named: str) -> None:
    whole = {"do_rescale": True, "do_normalize": True, **change}
    with pytest.raises(ExportError, match=named):
        of_processor(processor(kind, whole))


def test_what_a_processor_itself_refuses_is_told(tmp_path: Any) -> None:
    made = processor("ConvNext", {"size": OTHER})  # it reads a shortest edge alone
    given = of_processor(made).image
    with pytest.raises(
        ExportError, match=r"ConvNextImageProcessorPil makes no picture of 24 x 20 .*preprocessor_config"
    ):
        pixel_values(given.frontend(), given, made, PICTURES[0])


WHISPER, CLAP, AST = {"chunk_length": 2}, {"max_length_s": 2, "truncation": "rand_trunc"}, {"max_length": 150}
SOUNDS: dict[str, tuple[dict[str, Any], list[dict[str, Any]]]] = {
    "Whisper": (WHISPER, [{"feature_size": 128}, {"feature_size": 40}, {"n_fft": 512}, {"hop_length": 100}, {"hop_length": 150},
                          {"do_normalize": True}, {"mel_floor": 1e-3}, {"max_frequency": 4000}, {"padding": "longest"}, {"chunk_length": 1}]),
    "Clap": (CLAP, [{"feature_size": 32}, {"fft_window_size": 512}, {"fft_window_size": 1000}, {"hop_length": 320}, {"frequency_min": 50},
                    {"frequency_max": 8000}, {"top_db": 20}, {"truncation": "fusion"}, {"padding": "repeat"}, {"padding": "pad"},
                    {"padding": "max_length"}, {"padding_value": 0.3}, {"padding_side": "left"}, {"max_length_s": 3}]),
    "AST": (AST, [{"num_mel_bins": 64}, {"mean": -3.0}, {"std": 2.0}, {"do_normalize": False}, {"max_length": 64}, {"feature_size": 7},
                  {"padding_value": 0.3}, {"padding_side": "left"}, {"hop_length": 100}]),
    "Wav2Vec2": ({}, [{"do_normalize": False}, {"padding_value": 0.3}, {"padding_side": "left"}, {"feature_size": 2}, {"truncation": True},
                      {"max_length": 100}]),
}  # fmt: skip
RATES: list[dict[str, Any]] = [{}, {"sampling_rate": 8_000}, {"sampling_rate": 22_050}, {"return_attention_mask": True}]


def numbers(extractor: Any, samples: Any) -> Any:
    """What a bundle makes of samples."""
    audio = of_extractor(extractor).audio
    frontend = audio.frontend(file="frontend.npz", convolutions=[[10, 5]], batch="longest")
    bank = None
    if isinstance(audio.mel, MelInput):
        assert frontend.mel is not None
        bank = MelBank(frontend.mel, **audio.mel.arrays(audio.rate))
    return AudioPreparer(frontend, bank).numbers(Audio(samples, audio.rate), 0)


@pytest.mark.parametrize(
    ("kind", "change"), [(kind, change) for kind, (_, changes) in SOUNDS.items() for change in [*RATES, *changes]]
)
def test_keys_of_an_extractor_of_sounds(kind: str, change: dict[str, Any]) -> None:
    with quiet():
        extractor = getattr(tf, f"{kind}FeatureExtractor")(**{**SOUNDS[kind][0], **change})
    for seconds in (0.2, 1.3, 2.0, 2.6)[: 3 if kind == "Clap" else 4]:  # of longer ones CLAP draws what it reads
        samples = sound(seconds, extractor.sampling_rate)
        with quiet():
            given = extractor(samples, sampling_rate=extractor.sampling_rate, return_tensors="np")
        theirs = np.asarray(given["input_features"] if "input_features" in given else given["input_values"])[0]
        found = numbers(extractor, samples)
        theirs = theirs[: len(found)] if theirs.ndim == 3 else theirs
        assert found.shape == theirs.shape
        assert np.abs(found - theirs).max() <= (0 if kind == "Wav2Vec2" else 1e-4)


@pytest.mark.parametrize(
    ("kind", "change", "named"),
    [
        ("Whisper", {"padding_value": 0.3}, "padding_value"),
        ("Whisper", {"padding_side": "left"}, "padding_side"),
        ("Whisper", {"dither": 0.01}, "dither"),
        ("Whisper", {"n_fft": 401}, "n_fft"),
        ("Whisper", {"chunk_length": 1.5}, "chunk_length"),
        ("Clap", {"max_length_s": 2.5}, "max_length_s"),
        ("Clap", {"truncation": "middle"}, "truncation"),
    ],
)
def test_keys_of_sounds_that_are_refused(kind: str, change: dict[str, Any], named: str) -> None:
    with pytest.raises(ExportError, match=f"{named}: "):
        of_extractor(getattr(tf, f"{kind}FeatureExtractor")(**{**SOUNDS[kind][0], **change}))
