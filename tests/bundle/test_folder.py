"""The bundle folder: what is refused, and that it is written whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from embedkit import Bundle, BundleError, Encoder
from embedkit.runtime.verification import verify
from embedkit.testing.tiny import tiny_bundle
from helpers.external_data import external_model
from helpers.hostile_bundles import renew
from helpers.manifests import first_variant


def test_opens(tiny: Path) -> None:
    bundle = Bundle.open(tiny)
    assert bundle.verify_files() >= 3
    golden = bundle.golden()
    texts, vectors = golden.texts, golden.values
    assert vectors.keys() == {"default", "query", "document"}
    assert all(len(texts) == len(values["dense"]) for values in vectors.values())


def test_a_folder_that_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"no embedkit\.json in this folder"):
        Encoder.load(tmp_path)
    with pytest.raises(BundleError, match="found nothing"):
        Encoder.load(tmp_path / "absent")
    (tmp_path / "file").write_text("")
    with pytest.raises(BundleError, match="found a file"):
        Encoder.load(tmp_path / "file")


def test_one_flipped_byte_in_any_file(tiny: Path) -> None:
    for name in Bundle.open(tiny).manifest.files:
        path = tiny / name
        good = path.read_bytes()
        bad = bytearray(good)
        bad[len(bad) // 2] ^= 1
        path.write_bytes(bytes(bad))
        with pytest.raises(BundleError, match=f"{name}: sha256: expected"):
            Bundle.open(tiny).verify_files()
        path.write_bytes(good[:-1])
        with pytest.raises(BundleError, match=f"{name}: bytes: expected"):
            Bundle.open(tiny).verify_files()
        path.write_bytes(good)
    Bundle.open(tiny).verify_files()


def test_a_missing_file(tiny: Path) -> None:
    (tiny / "golden.npz").unlink()
    with pytest.raises(BundleError, match=r"golden\.npz: the manifest names this file and it is missing"):
        Bundle.open(tiny).verify_files()


def test_a_link_is_what_is_behind_it(tiny: Path, tmp_path: Path) -> None:
    name = first_variant(json.loads((tiny / "embedkit.json").read_text()))["file"]
    outside = tmp_path / "outside.onnx"
    shutil.move(tiny / name, outside)
    (tiny / name).symlink_to(outside)
    assert Bundle.open(tiny).verify_files() == 4
    raw = outside.read_bytes()
    outside.write_bytes(raw[:-1] + bytes([raw[-1] ^ 1]))
    with pytest.raises(BundleError, match=rf"{name} \(a link to .*outside\.onnx\): sha256: expected"):
        Bundle.open(tiny).verify_files()
    outside.unlink()
    with pytest.raises(BundleError, match="the manifest names this file and it leads nowhere"):
        Bundle.open(tiny).verify_files()
    outside.mkdir()
    with pytest.raises(BundleError, match="expected a file, found a folder"):
        Bundle.open(tiny).verify_files()
    outside.rmdir()
    os.mkfifo(outside)
    with pytest.raises(BundleError, match="expected a file, found a folder or a device"):
        Bundle.open(tiny).verify_files()
    (tiny / "embedkit.json").unlink()
    (tiny / "embedkit.json").symlink_to("/proc/kmsg")
    with pytest.raises(BundleError, match=r"no embedkit\.json in this folder"):
        Bundle.open(tiny)


def with_external_data(folder: Path) -> Path:
    """The tiny bundle whose weights lie in a file of their own."""
    tiny_bundle(folder, variants=("fp32",))
    onnx.save(
        onnx.load(folder / "model.fp32.onnx"),
        folder / "model.fp32.onnx",
        save_as_external_data=True,
        location="model.fp32.onnx.data",
        size_threshold=256,
    )
    renew(
        folder,
        lambda m: (
            first_variant(m).update(data=["model.fp32.onnx.data"]),
            m["files"].update({"model.fp32.onnx.data": {"sha256": "0" * 64, "bytes": 0}}),
        ),
    )
    return folder


def hub_cache(bundle: Path, place: Path) -> Path:
    """As huggingface_hub keeps files: by their hashes, with links of their names."""
    snapshot = place / "models--a--b" / "snapshots" / "0123abcd"
    blobs = place / "models--a--b" / "blobs"
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    for file in bundle.iterdir():
        blob = blobs / hashlib.sha256(file.read_bytes()).hexdigest()
        shutil.copy(file, blob)
        (snapshot / file.name).symlink_to(Path("../../blobs") / blob.name)
    return snapshot


def kubernetes_volume(bundle: Path, place: Path) -> Path:
    """As a ConfigMap or a CSI volume is mounted: links into a folder behind a link, which an update turns round."""
    shutil.copytree(bundle, place / "..2026_11_29_06_00_00.1")
    (place / "..data").symlink_to("..2026_11_29_06_00_00.1")
    for file in bundle.iterdir():
        (place / file.name).symlink_to(Path("..data") / file.name)
    return place


@pytest.mark.parametrize("layout", [hub_cache, kubernetes_volume])
@pytest.mark.parametrize("engine", ["onnxruntime", "openvino:f32"])
def test_bundles_made_of_links(layout: Callable[[Path, Path], Path], engine: str, tmp_path: Path) -> None:
    plain = with_external_data(tmp_path / "plain")
    links = layout(plain, tmp_path / "links")
    expected = Encoder.load(plain, engine=engine).encode(["a", "some text"])
    assert np.array_equal(Encoder.load(links, engine=engine).encode(["a", "some text"]), expected)
    assert verify(links).passed
    (tmp_path / "linked").symlink_to(links)
    assert np.array_equal(Encoder.load(tmp_path / "linked", engine=engine).encode(["a", "some text"]), expected)


def test_a_folder_that_is_no_path() -> None:
    for given in (None, 7, b"bundle", "a\0b", "x" * 5000):
        with pytest.raises(BundleError, match="expected (the path of )?a bundle folder"):
            Bundle.open(given)  # type: ignore[arg-type]


def test_external_data_outside_is_refused(tiny: Path) -> None:
    from embedkit.bundle.validation import read_manifest
    from embedkit.bundle.writer import write_manifest

    manifest = read_manifest((tiny / "embedkit.json").read_bytes(), "embedkit.json")
    name = first_variant(json.loads((tiny / "embedkit.json").read_text()))["file"]
    external_model(tiny / name, "../outside.bin", "initializer")
    write_manifest(tiny, manifest)
    with pytest.raises(
        BundleError, match=r"external data: expected only files named in the manifest.*\.\./outside\.bin"
    ):
        Bundle.open(tiny).graph_path("default", "fp32")


def test_a_file_is_hashed_when_it_is_used(minilm_bundle: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(minilm_bundle, copy)
    with (copy / "model.fp32.onnx").open("r+b") as file:
        file.write(b"\0")
    assert Encoder.load(copy, variant="int8").encode("fine").shape == (384,)
    with pytest.raises(BundleError, match=r"model\.fp32\.onnx: sha256"):
        Encoder.load(copy, variant="fp32")
