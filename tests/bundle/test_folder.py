"""The bundle folder: what is refused, and that it is written whole or not at all."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from embedkit import Bundle, BundleError, Encoder
from helpers.external_data import external_model
from helpers.manifests import first_variant


def test_opens(tiny: Path) -> None:
    bundle = Bundle.open(tiny)
    assert bundle.verify_files() >= 3
    texts, vectors = bundle.golden()
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


def test_a_link_out_of_the_folder(tiny: Path, tmp_path: Path) -> None:
    name = first_variant(json.loads((tiny / "embedkit.json").read_text()))["file"]
    outside = tmp_path / "outside.onnx"
    shutil.move(tiny / name, outside)
    (tiny / name).symlink_to(outside)
    with pytest.raises(BundleError, match="expected a file inside the bundle, found a link"):
        Bundle.open(tiny).verify_files()


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
