from __future__ import annotations

import json

import pytest

from embedkit.errors import BundleError, DeviceError
from embedkit.runtime import verification
from embedkit.runtime.engines.onnxruntime import OnnxRuntime
from embedkit.runtime.verification import verify
from embedkit.testing.tiny import tiny_bundle


def test_a_bundle_that_is_whole_passes_in_every_variant_and_role(bundle):
    report = verify(bundle)
    assert report.passed
    assert [(check.variant, check.role) for check in report.checks] == [
        (variant, role) for variant in ("fp32", "int8") for role in ("default", "query", "document")
    ]
    assert all(check.max_abs < 1e-6 for check in report.checks[:3])
    assert all(check.independent and not check.problem for check in report.checks)
    assert report.files == 4
    whole = json.loads(report.to_json())
    assert whole["passed"]
    assert whole["checks"][0]["variant"] == "fp32"
    assert str(report).endswith("\nverified")


def test_variants_can_be_chosen(bundle):
    assert {check.variant for check in verify(bundle, variants=["int8"]).checks} == {"int8"}
    with pytest.raises(DeviceError, match="this bundle has fp32, int8"):
        verify(bundle, variants=["int4"])


@pytest.mark.parametrize("name", ["model.fp32.onnx", "model.int8.onnx", "tokenizer.json", "golden.npz"])
def test_one_flipped_byte_is_found(tmp_path, name):
    folder = tiny_bundle(tmp_path / "b")
    raw = bytearray((folder / name).read_bytes())
    raw[len(raw) // 2] ^= 1
    (folder / name).write_bytes(raw)
    with pytest.raises(BundleError, match=f"{name}: sha256: expected"):
        verify(folder)


def test_a_machine_that_computes_otherwise_fails_and_is_told_what_to_do(bundle, monkeypatch):
    real = OnnxRuntime.run

    def run(self, inputs, outputs):
        vectors = real(self, inputs, outputs)[0].copy()
        vectors[:, 0] += 0.001
        return [vectors]

    monkeypatch.setattr(OnnxRuntime, "run", run)
    report = verify(bundle)
    assert not report.passed
    assert "fp32 differs from the golden vectors by 1.0e-03" in report.checks[0].problem
    assert not report.checks[3].problem
    monkeypatch.setattr(verification, "GOLDEN_TOLERANCE", -0.04)
    assert "load with variant='fp32'" in verify(bundle, variants=["int8"]).checks[0].problem


def test_vectors_that_depend_on_their_neighbours_are_found(bundle, monkeypatch):
    real = OnnxRuntime.run

    def run(self, inputs, outputs):
        vectors = real(self, inputs, outputs)[0]
        return [vectors * (1 + 1e-6 * len(vectors))]

    monkeypatch.setattr(OnnxRuntime, "run", run)
    report = verify(bundle, variants=["fp32"])
    assert not report.passed
    assert not report.checks[0].independent
    assert "depends on what is encoded with it" in str(report)
