"""Pictures decoded the fast way: nearly the same pixels, of the same part of the picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("PIL")

import embedkit
from embedkit import CollectionMismatchError, Document, Encoder, OptionError
from embedkit.bundle.manifest import Crop, ImageFrontend, Resize
from embedkit.records.media import Image
from embedkit.runtime.frontends.image.decoding import picture_of
from embedkit.runtime.frontends.image.pixels import prepared
from embedkit.runtime.frontends.image.steps import First
from embedkit.testing.tiny import tiny_bundle
from helpers.image_bundles import picture_bundle
from helpers.pictures import drawn, saved

CLIP = ImageFrontend(size=[56, 56], steps=[Resize(size=[64], fit="shortest"), Crop(size=[56, 56], pad="ceil")])


def large(width: int, height: int, seed: int = 1, **options: object) -> Image:
    return Image(saved(drawn(width // 8, height // 8, seed).resize((width, height), 3), "JPEG", quality=92, **options))


@pytest.mark.parametrize("size", [(1601, 1067), (900, 2000), (640, 427), (60, 40), (1999, 1333)])
def test_it_is_the_same_part_of_the_picture(size: tuple[int, int]) -> None:
    """A crop one pixel off, or a picture turned otherwise, differs by far more."""
    item = large(*size)
    exact, fast = (prepared(CLIP, item, fast=way).astype(int) for way in (False, True))
    off = np.abs(exact - fast).mean()
    assert off < 1.5
    if min(size) > 400:
        assert 0 < off < 0.2 * np.abs(exact[:, 1:] - fast[:, :-1]).mean()
    if max(size) < 100:
        assert off == 0


def test_what_is_decoded_is_three_times_as_large_at_least_and_no_larger_than_it_must() -> None:
    for width, height in [(1601, 1067), (3000, 1000), (400, 300), (191, 191), (192, 192), (384, 384), (385, 384)]:
        first = First(CLIP.steps)
        found = picture_of(large(width, height).data, first.least)
        assert first.size is not None
        assert found.height >= min(height, 3 * first.size[0])
        assert found.width >= min(width, 3 * first.size[1])
        scale = max(
            s for s in (1, 2, 4, 8) if s == 1 or min(width // (3 * first.size[1]), height // (3 * first.size[0])) >= s
        )
        assert found.size == (-(-width // scale), -(-height // scale))


def test_turned_pictures_are_measured_upright() -> None:
    exif = drawn().getexif()
    exif[0x0112] = 6
    item = large(2000, 800, exif=exif)  # 800 wide and 2000 high, once it is turned
    first = First(CLIP.steps)
    assert picture_of(item.data, first.least).size == (200, 500)
    assert first.size == (160, 64)
    exact, fast = (prepared(CLIP, item, fast=way).astype(int) for way in (False, True))
    assert np.abs(exact - fast).mean() < 1.5


def test_other_formats_and_first_steps_are_not_cut_short() -> None:
    png = Image(saved(drawn(700, 500)))
    assert picture_of(png.data, First(CLIP.steps).least).size == (700, 500)
    crop = ImageFrontend(size=[300, 400], steps=[Crop(size=[300, 400])])
    item = large(1600, 1200)
    assert np.array_equal(prepared(crop, item), prepared(crop, item, fast=True))
    nearest = ImageFrontend(size=[40, 40], steps=[Resize(size=[40, 40], filter="nearest")])
    assert np.array_equal(prepared(nearest, png), prepared(nearest, png, fast=True))


def test_a_truncated_file_is_refused_in_both_ways(tmp_path: Path) -> None:
    encoder = Encoder.load(picture_bundle(tmp_path / "b"), decode="fast")
    data = large(1600, 1200).data
    with pytest.raises(embedkit.InputError, match="broken or truncated JPEG"):
        encoder.encode_image([Image(data[: len(data) // 2])])


def test_it_is_a_space_of_its_own(tmp_path: Path) -> None:
    bundle = picture_bundle(tmp_path / "b")
    exact, fast = Encoder.load(bundle), Encoder.load(bundle, decode="fast")
    assert fast.fingerprint == f"{exact.fingerprint} decode fast"
    assert exact.fingerprint == exact.bundle.manifest.fingerprint
    (tmp_path / "a.jpg").write_bytes(large(1600, 1200).data)
    a, b = exact.encode(tmp_path / "a.jpg"), fast.encode(tmp_path / "a.jpg")
    assert 0.999 < float(a @ b) <= 1.00001
    assert fast.encode([tmp_path / "a.jpg"] * 2)[1].tobytes() == b.tobytes()
    document = Document("a", "a", {"uri": str(tmp_path / "a.jpg")})
    embedkit.ingest([document], fast, "memory:fast", collection="c", dead_letters=tmp_path / "dead.jsonl")
    hits = embedkit.search(tmp_path / "a.jpg", fast, "memory:fast", collection="c")  # type: ignore[call-overload]
    assert hits[0].score == pytest.approx(1.0, abs=1e-5)
    for refused in (
        lambda: embedkit.search(tmp_path / "a.jpg", exact, "memory:fast", collection="c"),  # type: ignore[call-overload]
        lambda: embedkit.ingest([document], exact, "memory:fast", collection="c", dead_letters=tmp_path / "dead.jsonl"),
    ):
        with pytest.raises(CollectionMismatchError, match="decoded in another way: give --decode"):
            refused()


def test_what_does_not_fit(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="decode: expected 'exact' or 'fast', found 'quick'"):
        Encoder.load(tmp_path, decode="quick")  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="reads none; leave it out"):
        Encoder.load(tiny_bundle(tmp_path / "tiny"), decode="fast")
