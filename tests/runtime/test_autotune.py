"""Which engine computes: only one that was measured to be faster and to keep the promises, and every answer says why."""

from __future__ import annotations

import importlib.machinery
import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from embedkit import Encoder, InputError, MissingExtraError
from embedkit.runtime import autotune, loaded
from embedkit.runtime.engines.base import Session
from embedkit.runtime.engines.onnxruntime import OnnxRuntime
from embedkit.system import cache
from embedkit.testing.tiny import tiny_bundle


class Rival(OnnxRuntime):
    """Computes a graph as onnxruntime does, or with a fault, under the other engine's name."""

    fault = ""

    def run(self, inputs: Mapping[str, Any], outputs: Sequence[str]) -> list[np.ndarray]:
        (vectors,) = super().run(inputs, outputs)
        if self.fault == "other":
            return [np.ascontiguousarray(vectors[:, ::-1])]
        if self.fault == "neighbours" and len(vectors) > 3:
            return [vectors * np.float32(1 + 1e-6)]
        if self.fault == "padding" and inputs["input_ids"].shape[1] > 60:
            return [vectors * np.float32(1 + 1e-6)]
        if self.fault == "crash":
            raise RuntimeError("no\nkernel")
        return [vectors]


@pytest.fixture
def engines(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Any]:
    """openvino, which is not needed here, as a copy of onnxruntime; how fast each engine is found, and what it does
    wrong; and the engines that were loaded."""
    about: dict[str, Any] = {"seconds": {}, "fault": "", "loaded": [], "measured": 0}
    monkeypatch.setenv("EMBEDKIT_CACHE", str(tmp_path / "cache"))

    def open_session(path: Path, *, engine: str, **rest: object) -> Session:
        about["loaded"].append(engine)
        if engine == "onnxruntime":
            return OnnxRuntime(path)
        rival = Rival(path)
        rival.fault = about["fault"]
        return rival

    def measure(encoders: Mapping[str, Encoder]) -> dict[str, float]:
        about["measured"] += 1
        return {name: about["seconds"].get(name, 1.0) for name in encoders}

    def find_spec(name: str) -> object:
        return importlib.machinery.ModuleSpec(name, None)

    monkeypatch.setattr(loaded, "open_session", open_session)
    monkeypatch.setattr(autotune, "measure", measure)
    monkeypatch.setattr(autotune, "find_spec", find_spec)
    return about


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return tiny_bundle(tmp_path / "bundle")


def test_the_faster_one_that_keeps_the_promises(bundle: Path, engines: dict[str, Any]) -> None:
    engines["seconds"] = {"openvino:int8": 0.8, "openvino:bf16": 0.5}
    encoder = Encoder.load(bundle)
    assert (encoder.engine, encoder.variant) == ("openvino:bf16", "fp32")
    assert encoder.why.startswith("openvino:bf16 is 2.00 times as fast here as onnxruntime with int8, and it keeps")


def test_hardly_faster_is_not_worth_other_vectors(bundle: Path, engines: dict[str, Any]) -> None:
    engines["seconds"] = {"openvino:int8": 0.85, "openvino:bf16": 2.0}
    encoder = Encoder.load(bundle)
    assert (encoder.engine, encoder.variant) == ("onnxruntime", "int8")
    assert "openvino:int8 is 1.18 times as fast here, which is less than 1.2" in encoder.why


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("other", "its worst golden cosine is"),
        ("neighbours", "a vector depends on what is encoded with it"),
        ("padding", "a vector depends on what is encoded with it"),
        ("crash", "openvino:int8 cannot compute this model (no kernel)"),
    ],
)
def test_a_promise_that_is_not_kept(bundle: Path, engines: dict[str, Any], fault: str, reason: str) -> None:
    engines.update(fault=fault, seconds={"openvino:int8": 0.1, "openvino:bf16": 0.1})
    encoder = Encoder.load(bundle)
    assert encoder.engine == "onnxruntime"
    assert reason in encoder.why


def test_fp32_alone_promises_fp32(tmp_path: Path, engines: dict[str, Any]) -> None:
    engines["seconds"] = {"openvino:f32": 0.5}
    folder = tiny_bundle(tmp_path / "fp32", variants=("fp32",))
    assert Encoder.load(folder).engine == "openvino:f32"
    assert set(engines["loaded"]) == {"onnxruntime", "openvino:f32"}, "bf16 and 8 bits are less than was promised"
    engines["fault"] = "other"
    shutil.rmtree(cache.folder())
    assert "it does not give the golden vectors" in Encoder.load(folder).why


def test_what_was_found_out_is_kept(bundle: Path, engines: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    engines["seconds"] = {"openvino:int8": 0.5}
    first = Encoder.load(bundle)
    engines["loaded"].clear()
    again = Encoder.load(bundle)
    assert (again.engine, again.why) == (first.engine, first.why)
    assert (engines["measured"], engines["loaded"]) == (1, ["openvino:int8"]), "the other engine is not even loaded"
    Encoder.load(bundle, threads=7)
    Encoder.load(bundle, token_budget=99)
    monkeypatch.setattr(cache, "processor", lambda: "another")
    Encoder.load(bundle)
    monkeypatch.setattr(autotune, "_version", lambda name: "9.9")
    Encoder.load(bundle)
    assert engines["measured"] == 5


@pytest.mark.parametrize(
    "harm",
    [
        lambda file: file.write_text("{"),
        lambda file: file.write_bytes(b"\xff\xfe"),
        lambda file: file.write_text("[]"),
        lambda file: file.write_text(file.read_text().replace("openvino:int8", "openvino:int2")),
        lambda file: file.write_text(json.dumps({**json.loads(file.read_text()), "key": {}})),
        lambda file: file.write_text(
            json.dumps({**json.loads(file.read_text()), "value": {"engine": "openvino:int8", "why": 3}})
        ),
    ],
)
def test_a_harmed_cache_is_measured_again(bundle: Path, engines: dict[str, Any], harm: Any) -> None:
    engines["seconds"] = {"openvino:int8": 0.5}
    Encoder.load(bundle)
    [file] = [kept for kept in cache.folder().iterdir() if "engine" in json.loads(kept.read_text())["value"]]
    harm(file)
    assert Encoder.load(bundle).engine == "openvino:int8"
    assert engines["measured"] == 2


def test_an_engine_that_fails_later_is_measured_again(bundle: Path, engines: dict[str, Any]) -> None:
    engines["seconds"] = {"openvino:int8": 0.5}
    assert Encoder.load(bundle).engine == "openvino:int8"
    engines["fault"] = "other"
    assert Encoder.load(bundle).engine == "onnxruntime"


def test_an_engine_that_breaks_later_does_not_keep_the_other_from_working(
    bundle: Path, engines: dict[str, Any]
) -> None:
    engines["seconds"] = {"openvino:int8": 0.5}
    assert Encoder.load(bundle).engine == "openvino:int8"
    engines["fault"] = "crash"
    encoder = Encoder.load(bundle)
    assert encoder.engine == "onnxruntime"
    assert "no kernel" in encoder.why


def test_without_a_folder_to_write(
    bundle: Path, engines: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("EMBEDKIT_CACHE", str(tmp_path / "file" / "below"))
    assert Encoder.load(bundle).engine == "onnxruntime"
    assert Encoder.load(bundle).engine == "onnxruntime"


def test_openvino_with_its_precision_open(bundle: Path, engines: dict[str, Any]) -> None:
    engines["seconds"] = {"openvino:int8": 0.5, "openvino:bf16": 0.6}
    assert Encoder.load(bundle, engine="openvino").engine == "openvino:int8"
    assert Encoder.load(bundle, engine="openvino", variant="fp32").engine == "openvino:f32"
    assert "onnxruntime" not in engines["loaded"]


def test_what_is_settled_without_a_measurement(
    bundle: Path, tmp_path: Path, engines: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert Encoder.load(bundle, variant="int8").why.startswith("onnxruntime: the variant int8 was named")
    assert Encoder.load(bundle, engine="onnxruntime").why == "onnxruntime: it was named"
    assert "which this bundle has not" in Encoder.load(tiny_bundle(tmp_path / "small", variants=("int8",))).why
    monkeypatch.setattr(autotune, "find_spec", lambda name: None)
    assert Encoder.load(bundle).why == "onnxruntime: openvino is not installed"
    assert engines["measured"] == 0
    with pytest.raises(InputError, match="engine: expected 'auto' or one of onnxruntime, openvino"):
        Encoder.load(bundle, engine="torch")


def test_a_missing_package_names_its_extra(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'embedkit-onnx\[openvino\]'"):
        Encoder.load(bundle, engine="openvino:bf16")
    assert Encoder.load(bundle).engine == "onnxruntime"
    with pytest.raises(MissingExtraError, match=r"embedkit-onnx\[openvino\]"):
        Encoder.load(bundle, engine="openvino")


@pytest.mark.parametrize("system", ["linux", "darwin", "win32"])
def test_the_users_cache_folder(system: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("EMBEDKIT_CACHE")
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
    assert "embedkit" in cache.folder().parts
    assert cache.processor() == cache.processor() != ""
