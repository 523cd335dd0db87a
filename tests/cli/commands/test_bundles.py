"""``embedkit inspect`` and ``verify``: what a bundle is, and whether it is whole."""

from __future__ import annotations

import json

import embedkit
from embedkit.testing.tiny import tiny_bundle
from helpers.commands import error


def test_a_flipped_byte_is_found(run, folder):
    path = tiny_bundle(folder / "b")
    file = path / "model.int8.onnx"
    raw = bytearray(file.read_bytes())
    raw[-1] ^= 1
    file.write_bytes(raw)
    assert "model.int8.onnx: sha256: expected" in error(run("verify", path))
    assert "model.int8.onnx: sha256: expected" in error(run("encode", path, "text"))


def test_verify(run, bundle):
    code, out, _ = run("verify", bundle)
    assert code == 0
    assert out.endswith("verified\n")
    code, out, _ = run("verify", bundle, "--variant", "fp32", "--json")
    assert json.loads(out)["passed"]
    assert {check["variant"] for check in json.loads(out)["checks"]} == {"fp32"}


def test_verify_that_fails_is_exit_code_1(run, bundle, monkeypatch):
    monkeypatch.setattr("embedkit.runtime.verification.FP32_MAX_ABS", 0.0)
    code, out, _ = run("verify", bundle)
    assert code == 1
    assert "install another version of onnxruntime" in out


def test_inspect(run, folder):
    bundle = tiny_bundle(folder / "b", prefixes={"query": "query: "})
    code, out, _ = run("inspect", bundle)
    assert code == 0
    fingerprint = embedkit.Bundle.open(bundle).manifest.fingerprint
    for part in (fingerprint, "query: 'query: {text}'", "at most 64 tokens", "8 dimensions", "int8", "0.95000"):
        assert part in out
    whole = json.loads(run("inspect", bundle, "--json")[1])
    assert whole["roles"]["query"]["template"] == "query: {text}"
    assert whole["roles"]["default"]["variants"]["fp32"]["bytes"] == (bundle / "model.fp32.onnx").stat().st_size
