"""The bundle folder: what is refused, and that it is written whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from embedkit import Bundle, BundleError, Encoder
from embedkit.bundle.external_data import external_files
from embedkit.bundle.manifest import is_plain_name
from embedkit.bundle.writer import check_target, writing
from embedkit.testing.tiny import tiny_bundle


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return tiny_bundle(tmp_path / "tiny")


def edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    file = folder / "embedkit.json"
    manifest = json.loads(file.read_text())
    change(manifest)
    file.write_text(json.dumps(manifest))


def first_variant(manifest: dict[str, Any]) -> dict[str, Any]:
    tower = next(tower for tower in manifest["towers"].values() if "graph" in tower)
    variant: dict[str, Any] = tower["graph"]["variants"]["fp32"]
    return variant


def test_opens(tiny: Path) -> None:
    bundle = Bundle.open(tiny)
    assert bundle.verify_files() >= 3
    texts, vectors = bundle.golden()
    assert vectors.keys() == {"default", "query", "document"}
    assert all(len(texts) == len(values["dense"]) for values in vectors.values())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m.update(schema=3), "schema: expected 1 or 2, found 3"),
        (lambda m: m.update(schema=2), "schema: expected 1 where all frontends are of the kind text"),
        (lambda m: m.update(schema=True), "schema: expected 1 or 2, found True"),
        (lambda m: m.pop("schema"), "schema: expected 1 or 2, found None"),
        (lambda m: m.pop("towers"), "towers"),
        (lambda m: m.update(surprise=1), "surprise"),
        (lambda m: m.update(fingerprint="abc"), 'fingerprint: .*found "abc"'),
        (lambda m: m.update(fingerprint="0" * 64), "fingerprint: expected"),
        (lambda m: m["source"].update(name=7), r"source\.name: Expected `str`, got `int`, found 7"),
        (lambda m: first_variant(m).update(file="../model.onnx"), "expected a file listed under `files`"),
        (lambda m: m["files"].update({"../x": {"sha256": "0" * 64, "bytes": 1}}), "expected plain file names"),
        (lambda m: m["files"].update({"/etc/passwd": {"sha256": "0" * 64, "bytes": 1}}), "expected plain file names"),
        (lambda m: m["files"].update({"a\\b": {"sha256": "0" * 64, "bytes": 1}}), "expected plain file names"),
        (lambda m: m.update(golden="nothing.npz"), "golden: expected a file listed"),
        (lambda m: m["scorers"]["main"].update(left="nobody.dense"), "scorers.main: expected TOWER.OUTPUT"),
        (
            lambda m: next(iter(m["towers"].values()))["frontend"]["truncate"].update(max=0),
            r"towers\.\w+\.frontend\.truncate\.max: Expected `int` >= 1, found 0",
        ),
        (
            lambda m: next(iter(m["towers"].values()))["frontend"].update(template=[{"lit": "a", "field": "text"}]),
            "exactly one of",
        ),
        (lambda m: next(iter(m["towers"].values()))["frontend"].update(template=[{"lit": "a"}]), "at least one field"),
        (lambda m: next(iter(m["towers"].values())).update(like="nobody"), "like: expected a tower"),
    ],
)
def test_a_bad_manifest_names_the_field(tiny: Path, change: Callable[[dict[str, Any]], object], message: str) -> None:
    edit(tiny, change)
    with pytest.raises(BundleError, match=message):
        Bundle.open(tiny)


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"null", b"\xff\xfe", b"3"])
def test_no_manifest_at_all(tiny: Path, raw: bytes) -> None:
    (tiny / "embedkit.json").write_bytes(raw)
    with pytest.raises(BundleError, match="embedkit.json"):
        Bundle.open(tiny)


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


@pytest.mark.parametrize("name", ["a.onnx", "model.int8.onnx", "README.md", "a b.txt", "_x"])
def test_plain_names(name: str) -> None:
    assert is_plain_name(name)


@pytest.mark.parametrize(
    "name", ["", ".", "..", ".hidden", "a/b", "/a", "a\\b", "C:x", "a\0b", "a\n", "a.", "a ", "~", "é"]
)
def test_names_that_are_not_plain(name: str) -> None:
    assert not is_plain_name(name)


def _external_model(path: Path, location: str, where: str) -> None:
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[2], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value=location)
    tensor.external_data.add(key="offset", value="0")
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, [2])
    if where == "initializer":
        graph = helper.make_graph([helper.make_node("Identity", ["w"], ["y"])], "g", [], [out], [tensor])
    elif where == "attribute":
        graph = helper.make_graph([helper.make_node("Constant", [], ["y"], value=tensor)], "g", [], [out])
    else:
        inner = helper.make_graph([helper.make_node("Identity", ["w"], ["y"])], "inner", [], [out], [tensor])
        condition = helper.make_tensor("c", TensorProto.BOOL, [], [True])
        graph = helper.make_graph(
            [helper.make_node("If", ["c"], ["y"], then_branch=inner, else_branch=inner)], "g", [], [out], [condition]
        )
    onnx.save(helper.make_model(graph), path)


@pytest.mark.parametrize("where", ["initializer", "attribute", "subgraph"])
@pytest.mark.parametrize("location", ["../outside.bin", "/etc/passwd", "weights.bin"])
def test_external_data_is_found_wherever_it_stands(tmp_path: Path, where: str, location: str) -> None:
    _external_model(tmp_path / "m.onnx", location, where)
    assert external_files(tmp_path / "m.onnx") == {location}


def test_external_data_outside_is_refused(tiny: Path) -> None:
    from embedkit.bundle.validation import read_manifest
    from embedkit.bundle.writer import write_manifest

    manifest = read_manifest((tiny / "embedkit.json").read_bytes(), "embedkit.json")
    name = first_variant(json.loads((tiny / "embedkit.json").read_text()))["file"]
    _external_model(tiny / name, "../outside.bin", "initializer")
    write_manifest(tiny, manifest)
    with pytest.raises(
        BundleError, match=r"external data: expected only files named in the manifest.*\.\./outside\.bin"
    ):
        Bundle.open(tiny).graph_path("default", "fp32")


@pytest.mark.parametrize("raw", [b"", b"\xff" * 64, b"\x3a\xff\xff\xff\xff\x0f", b"hello, world"])
def test_what_is_no_onnx_file(tmp_path: Path, raw: bytes) -> None:
    (tmp_path / "m.onnx").write_bytes(raw)
    with pytest.raises(BundleError, match=r"m\.onnx"):
        external_files(tmp_path / "m.onnx")


def test_writing_is_all_or_nothing(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "bundle"
    with pytest.raises(RuntimeError, match="cut"), writing(target) as folder:
        (folder / "half").write_text("x")
        raise RuntimeError("cut")
    assert list(target.parent.iterdir()) == []
    with writing(target) as folder:
        (folder / "whole").write_text("x")
    assert [path.name for path in target.parent.iterdir()] == ["bundle"]
    assert (target / "whole").read_text() == "x"


def test_what_may_be_overwritten(tmp_path: Path, tiny: Path) -> None:
    check_target(tmp_path / "new", overwrite=False)
    (tmp_path / "empty").mkdir()
    check_target(tmp_path / "empty", overwrite=False)
    with pytest.raises(BundleError, match="pass --overwrite"):
        check_target(tiny, overwrite=False)
    check_target(tiny, overwrite=True)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("")
    for overwrite in (False, True):
        with pytest.raises(BundleError, match="other files than a bundle"):
            check_target(tmp_path / "other", overwrite=overwrite)
    with writing(tiny, overwrite=True) as folder:
        (folder / "embedkit.json").write_text("new")
    assert (tiny / "embedkit.json").read_text() == "new"
    assert not list(tmp_path.glob(".*partial*"))


def test_a_killed_export_leaves_nothing_in_the_way(tmp_path: Path) -> None:
    target = tmp_path / "bundle"
    code = f"""
        import time
        from embedkit.bundle import writing
        with writing({str(target)!r}) as folder:
            (folder / "half").write_text("x")
            print("ready", flush=True)
            time.sleep(60)
    """
    child = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    child.stdout.close()
    assert not target.exists()
    assert len(list(tmp_path.glob(".bundle.partial-*"))) == 1
    with writing(target) as folder:
        (folder / "whole").write_text("x")
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_a_file_is_hashed_when_it_is_used(minilm_bundle: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(minilm_bundle, copy)
    with (copy / "model.fp32.onnx").open("r+b") as file:
        file.write(b"\0")
    assert Encoder.load(copy, variant="int8").encode("fine").shape == (384,)
    with pytest.raises(BundleError, match=r"model\.fp32\.onnx: sha256"):
        Encoder.load(copy, variant="fp32")


def test_fingerprint_covers_the_space_and_not_the_precision(minilm_bundle: Path, tiny: Path) -> None:
    a, b = Encoder.load(minilm_bundle, variant="int8"), Encoder.load(minilm_bundle, variant="fp32")
    assert a.fingerprint == b.fingerprint
    assert np.array_equal(a.encode("x").shape, b.encode("x").shape)
    assert Encoder.load(tiny).fingerprint != a.fingerprint
    edit(tiny, lambda m: next(iter(m["towers"].values()))["frontend"]["template"].insert(0, {"lit": "query: "}))
    with pytest.raises(BundleError, match="fingerprint"):
        Bundle.open(tiny)
