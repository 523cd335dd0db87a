"""The steps that a model's own files say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import transformers as tf

from embedkit import ExportError
from embedkit.bundle.manifest import Crop, Resize
from embedkit_export.sources.media.processors import of_file, of_folder, of_processor
from embedkit_export.verification.media.image_reference import pixel_values
from helpers.pictures import of_modes

CENTER = {"height": 24, "width": 24}


@pytest.mark.parametrize(
    ("processor", "steps", "alpha"),
    [
        (
            tf.CLIPImageProcessorPil(),
            [Resize(size=[224], fit="shortest"), Crop(size=[224, 224], pad="ceil")],
            "white",
        ),
        (tf.SiglipImageProcessorPil(), [Resize(size=[224, 224])], "drop"),
        (tf.ViTImageProcessorPil(size=CENTER), [Resize(size=[24, 24], filter="bilinear")], "drop"),
        (
            tf.ConvNextImageProcessorPil(size={"shortest_edge": 224}),
            [Resize(size=[256], fit="shortest"), Crop(size=[224, 224], pad="ceil")],
            "drop",
        ),
        (tf.ConvNextImageProcessorPil(), [Resize(size=[384, 384])], "drop"),
        (tf.CLIPImageProcessorPil(do_resize=False, crop_size=CENTER), [Crop(size=[24, 24], pad="ceil")], "white"),
    ],
)
def test_of_transformers(processor: Any, steps: list[Any], alpha: str) -> None:
    found = of_processor(processor, "preprocessor_config.json")
    assert found.image.steps == steps
    assert found.image.alpha == ("white" if getattr(processor, "do_convert_rgb", None) else "drop")
    if alpha == "white":
        assert found.image.alpha == alpha
    assert found.image.mean == list(processor.image_mean)
    assert found.image.scale == pytest.approx(1 / 255)
    assert found.processor is processor
    assert all("(preprocessor_config.json)" in line for line in found.reasons)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"size": {"shortest_edge": 30, "longest_edge": 60}}, "pictures of several sizes"),
        ({"do_resize": False, "do_center_crop": False}, "leaves pictures of any size"),
        ({"do_pad": True}, "pads to the largest picture"),
    ],
)
def test_what_has_no_size_is_refused(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(ExportError, match=problem):
        of_processor(tf.CLIPImageProcessorPil(**options))


def test_of_a_folder(tmp_path: Path) -> None:
    assert of_folder(None) is None
    (tmp_path / "config.json").write_text('{"model_type": "vit"}')
    assert of_folder(tmp_path) is None
    (tmp_path / "config.json").write_text(json.dumps({"pretrained_cfg": {"input_size": [3, 64, 64]}}))
    found = of_folder(tmp_path)
    assert found is not None
    assert found.image.size == [64, 64]
    (tmp_path / "config.json").unlink()
    tf.ViTImageProcessorPil(size=CENTER).save_pretrained(tmp_path)
    found = of_folder(tmp_path)
    assert found is not None
    assert (found.image.size, type(found.processor).__name__) == ([24, 24], "ViTImageProcessorPil")
    (tmp_path / "preprocessor_config.json").write_text("{")
    with pytest.raises(ExportError, match="cannot be read"):
        of_folder(tmp_path)


@pytest.mark.parametrize(
    "processor",
    [
        tf.EfficientNetImageProcessorPil(),
        tf.EfficientNetImageProcessorPil(rescale_offset=True, rescale_factor=1 / 127.5, include_top=False),
        tf.EfficientNetImageProcessorPil(rescale_offset=True, do_normalize=False, do_center_crop=True),
        tf.MobileViTImageProcessorPil(),
        tf.MobileViTImageProcessorPil(do_flip_channel_order=False),
        tf.BlipImageProcessorPil(size=CENTER),
        tf.CLIPImageProcessorPil(do_flip_channel_order=True, size=CENTER, do_center_crop=False),
        tf.ViTImageProcessorPil(size=CENTER, do_rescale=False, resample=1),
        tf.SiglipImageProcessorPil(size=CENTER, do_normalize=False, rescale_factor=1 / 127.5),
        tf.ConvNextImageProcessorPil(size={"shortest_edge": 30}, crop_pct=0.7, resample=4),
        tf.DeiTImageProcessorPil(size=CENTER, crop_size={"height": 20, "width": 30}, image_mean=0.4),
    ],
)
def test_numbers_that_a_processor_alone_makes(processor: Any) -> None:
    found = of_processor(processor).image
    frontend = found.frontend()
    for name, picture in of_modes(90, 61).items():
        theirs = pixel_values(frontend, found, processor, picture)
        mine = pixel_values(frontend, found, None, picture)
        assert float((theirs - mine).abs().max()) < 1e-5, name


def test_dinov3_is_in_floating_point(tmp_path: Path) -> None:
    said: dict[str, Any] = {
        "image_processor_type": "DINOv3ViTImageProcessorFast",
        "size": {"height": 256, "width": 224},
    }
    file = tmp_path / "preprocessor_config.json"
    file.write_text(json.dumps(said))
    found = of_file(file)
    assert found.processor is None
    assert found.image.steps == [Resize(size=[256, 224], filter="bilinear", engine="float")]
    assert (found.image.mean, found.image.scale) == ([0.485, 0.456, 0.406], 1 / 255)
    assert found.image.frontend().layout == "float_nchw"
    assert "in floating point" in found.reasons[0]
    for more, problem in (
        ({"size": {"shortest_edge": 256}}, "expected a height and a width"),
        ({"do_center_crop": True}, "expected a height and a width"),
        ({"do_resize": False}, "leaves pictures of any size"),
    ):
        file.write_text(json.dumps(said | more))
        with pytest.raises(ExportError, match=problem):
            of_file(file)


def test_what_a_processor_of_texts_and_pictures_keeps_inside(tmp_path: Path) -> None:
    inner = {"image_processor_type": "DINOv3ViTImageProcessor", "do_pad": False}
    file = tmp_path / "processor_config.json"
    file.write_text(json.dumps({"processor_class": "X", "image_processor": inner}))
    assert of_file(file).image.steps == [Resize(size=[224, 224], filter="bilinear", engine="float")]
    for change, problem in (
        ({"do_pad": True}, "do_pad"),
        ({"resample": None}, "resample of .*found None"),
        ({"image_mean": None}, "image_mean of .*found None"),
    ):
        file.write_text(json.dumps({"image_processor": inner | change}))
        with pytest.raises(ExportError, match=problem):
            of_file(file)


def test_pictures_of_several_sizes_are_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "preprocessor_config.json").write_text('{"image_processor_type": "Siglip2ImageProcessor"}')
    for call in (lambda: of_folder(tmp_path), lambda: of_processor(tf.Siglip2ImageProcessorPil())):
        with pytest.raises(ExportError, match=r"Siglip2ImageProcessor.* \(NaFlex\), which is not exported"):
            call()
