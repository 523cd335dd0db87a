"""The pixels of pictures, bit for bit those of transformers' own processors."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow

from embedkit import Image
from embedkit.bundle.manifest import Crop, ImageFrontend, Pad, Resize
from embedkit.runtime.frontends.image.pixels import Prepared, as_picture, prepared
from embedkit.runtime.frontends.media import Undecodable
from helpers.pictures import drawn, of_modes, saved

SIZES = [(60, 40), (41, 67), (224, 224), (223, 225), (7, 5), (1, 1), (5, 300), (400, 300), (227, 300)]
CLIP = ImageFrontend(size=[224, 224], steps=[Resize(size=[224], fit="shortest"), Crop(size=[224, 224], pad="ceil")])
SQUASH = ImageFrontend(size=[96, 96], steps=[Resize(size=[96, 96])])
CONVNEXT = ImageFrontend(size=[224, 224], steps=[Resize(size=[256], fit="shortest"), Crop(size=[224, 224], pad="ceil")])
CONVNEXT_LARGE = ImageFrontend(size=[384, 384], steps=[Resize(size=[384, 384])])
DINO = ImageFrontend(size=[98, 98], steps=[Resize(size=[112], fit="shortest"), Crop(size=[98, 98], pad="ceil")])
CROP = ImageFrontend(size=[50, 50], steps=[Crop(size=[50, 50], pad="ceil")])
VIT = ImageFrontend(size=[224, 224], steps=[Resize(size=[224, 224], filter="bilinear")], alpha="drop")


def processors() -> dict[str, tuple[ImageFrontend, Any]]:
    import transformers as tf

    size = {"height": 96, "width": 96}
    small = {"height": 50, "width": 50}
    return {
        "clip": (CLIP, tf.CLIPImageProcessorPil()),
        "siglip": (SQUASH, tf.SiglipImageProcessorPil(size=size, do_convert_rgb=True)),
        "vit": (VIT, tf.ViTImageProcessorPil()),
        "dinov2": (DINO, tf.BitImageProcessorPil(size={"shortest_edge": 112}, crop_size={"height": 98, "width": 98})),
        "convnext": (CONVNEXT, tf.ConvNextImageProcessorPil(size={"shortest_edge": 224}, do_convert_rgb=True)),
        "convnext 384": (CONVNEXT_LARGE, tf.ConvNextImageProcessorPil(do_convert_rgb=True)),
        "a crop alone": (CROP, tf.CLIPImageProcessorPil(do_resize=False, crop_size=small)),
    }


@pytest.mark.parametrize("name", ["clip", "siglip", "vit", "dinov2", "convnext", "convnext 384", "a crop alone"])
def test_bit_for_bit_as_transformers(name: str) -> None:
    frontend, processor = processors()[name]
    pictures = [drawn(w, h, i) for i, (w, h) in enumerate(SIZES)]
    if frontend.alpha == "white":
        modes = of_modes(61, 43)
        pictures += [modes[mode] for mode in ("RGBA", "L", "LA", "1", "P", "P with tRNS", "CMYK")]
    for picture in pictures:
        mine = prepared(frontend, picture)
        theirs = processor(picture, do_rescale=False, do_normalize=False, return_tensors="np")["pixel_values"][0]
        assert np.array_equal(mine, theirs.transpose(1, 2, 0).astype(np.uint8)), picture
        assert theirs.max() > 1.5, "the levels themselves"


def test_another_rounding_is_another_picture() -> None:
    """Neg: what one pixel, one filter or another alpha changes is seen."""
    picture = of_modes(251, 224)["RGBA"]  # 27 pixels are cut: 13 before the crop, or 14
    assert prepared(CLIP, picture).shape == (224, 224, 3)
    half = ImageFrontend(size=[224, 224], steps=[CLIP.steps[0], Crop(size=[224, 224], round="half_even")])
    white = prepared(CLIP, picture)
    assert not np.array_equal(white, prepared(half, picture))
    assert not np.array_equal(white, prepared(ImageFrontend(size=[224, 224], steps=CLIP.steps, alpha="drop"), picture))
    black = prepared(ImageFrontend(size=[224, 224], steps=CLIP.steps, alpha="black"), picture)
    assert white[:, :20].mean() > 200 > 60 > black[:, :20].mean()


SMALL = ImageFrontend(size=[40, 60])


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "WEBP", "GIF"])
def test_a_file_its_bytes_the_picture_and_its_array_are_one(kind: str, tmp_path: Path) -> None:
    picture = drawn().quantize(200).convert("RGB")  # which a GIF keeps whole
    data = saved(picture, kind, **({"lossless": True} if kind == "WEBP" else {}))
    path = tmp_path / "named.jpg"  # the name says nothing
    path.write_bytes(data)
    expected = np.asarray(picture)
    for item in (path, Image(data), picture, expected, Pillow.open(io.BytesIO(data))):
        assert np.array_equal(prepared(SMALL, item), expected), item


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_upright_as_exif_says(kind: str, orientation: int) -> None:
    picture = Pillow.new("RGB", (60, 40), (0, 0, 255))
    picture.paste((255, 0, 0), (0, 0, 30, 20))  # red in the upper left
    exif = Pillow.Exif()
    exif[0x0112] = orientation
    found = np.asarray(as_picture(Image(saved(picture, kind, exif=exif))))
    corner = {1: (0, 0), 2: (0, 1), 3: (1, 1), 4: (1, 0), 5: (0, 0), 6: (0, 1), 7: (1, 1), 8: (1, 0)}[orientation]
    assert found.shape[:2] == ((40, 60) if orientation < 5 else (60, 40))
    y, x = (int(place * (size - 1)) for place, size in zip(corner, found.shape[:2], strict=True))
    assert found[abs(y - 3), abs(x - 3), 0] > 200 > 60 > found[abs(y - 3), abs(x - 3), 2]


def test_sixteen_bits_are_scaled() -> None:
    wide = of_modes()["I;16"]
    grey = np.asarray(wide) >> 8
    found = prepared(SMALL, Image(saved(wide)))
    assert np.array_equal(found, np.repeat(grey[..., None], 3, axis=-1).astype(np.uint8))
    assert found.mean() < 200, "Pillow's own conversion makes it white"


@pytest.mark.parametrize("mode", ["F", "I"])
def test_numbers_without_a_range_are_refused(mode: str) -> None:
    picture = Pillow.fromarray(
        np.linspace(-1, 1e6, 2400).reshape(40, 60).astype(np.float32 if mode == "F" else np.int32)
    )
    with pytest.raises(Undecodable, match="whose range nothing states"):
        prepared(SMALL, picture)


def test_only_the_first_frame_of_an_animation() -> None:
    first, second = drawn(seed=1).quantize(100), drawn(seed=2).quantize(100)
    data = saved(first, "GIF", save_all=True, append_images=[second])
    assert np.array_equal(prepared(SMALL, Image(data)), np.asarray(first.convert("RGB")))


def test_what_was_prepared_stays_as_it_is() -> None:
    pixels = np.zeros((40, 60, 3), np.uint8)
    assert prepared(SMALL, Prepared(pixels)) is pixels


def test_blue_first() -> None:
    picture = drawn()
    assert np.array_equal(prepared(ImageFrontend(size=[40, 60], color="BGR"), picture), np.asarray(picture)[..., ::-1])


def test_converted_after_the_steps() -> None:
    """As open_clip does: a palette is resized by its indices, which has no steps between its colours."""
    palette = of_modes()["P"]
    steps = [Resize(size=[20, 30])]
    last = prepared(ImageFrontend(size=[20, 30], steps=steps, convert="last", alpha="drop"), palette)
    assert np.array_equal(last, np.asarray(palette.resize((30, 20), Pillow.Resampling.BICUBIC).convert("RGB")))
    first = prepared(ImageFrontend(size=[20, 30], steps=steps), palette)
    assert not np.array_equal(first, last)


@pytest.mark.parametrize("make", [lambda p: p, lambda p: Image(saved(p))])
def test_a_size_that_the_model_does_not_read(make: Callable[[Any], Any]) -> None:
    with pytest.raises(Undecodable, match="60 x 40 pixels after all steps, and the model reads 70 x 50"):
        prepared(ImageFrontend(size=[50, 70]), make(drawn()))


def test_padded() -> None:
    frontend = ImageFrontend(size=[50, 60], steps=[Pad(size=[50, 60], fill=[9, 8, 7])])
    found = prepared(frontend, drawn())
    assert np.array_equal(found[5:45], np.asarray(drawn()))
    assert found[:5].reshape(-1, 3).tolist() == [[9, 8, 7]] * 300
