"""``embedkit encode``: vectors that are those of the library."""

from __future__ import annotations

import json

import numpy as np
import pytest

pytest.importorskip("chromadb")

import embedkit
from helpers.commands import error


def test_encode_prints_numbers_that_give_back_the_vectors(run, bundle, encoder):
    code, out, err = run("encode", bundle, "one", "two", "--variant", "fp32")
    assert (code, err) == (0, "")
    found = np.array([json.loads(line) for line in out.splitlines()], dtype=np.float32)
    assert found.tobytes() == encoder.encode(["one", "two"]).tobytes()


def test_encode_writes_a_file(run, bundle, encoder, folder):
    texts = ["one", "", "héllo 🎉", "x" * 500]
    (folder / "texts.txt").write_bytes(b"\xef\xbb\xbf" + "\r\n".join(texts).encode())
    code, out, err = run("encode", bundle, "--input", "texts.txt", "--output", "v.npy", "--variant", "fp32")
    assert (code, out) == (0, "")
    assert "4 vectors of 8 numbers: v.npy" in err
    assert "1 of 4 texts were longer than the 64 tokens" in err
    assert np.load("v.npy").tobytes() == encoder.encode(texts).tobytes()
    run("encode", bundle, "--input", "texts.txt", "--output", "v.npy", "--dim", 4, "--role", "query")
    assert np.load("v.npy").shape == (4, 4)


def test_encode_in_fewer_bits(run, bundle, encoder, folder):
    texts = [f"text {i}" for i in range(120)]
    (folder / "texts.txt").write_text("\n".join(texts))
    fixed = ["--input", "texts.txt", "--variant", "fp32", "--output", "v.npy", "--precision"]
    full = encoder.encode(texts)
    assert run("encode", bundle, *fixed, "ubinary")[0] == 0
    assert np.load("v.npy").tobytes() == embedkit.quantize(full, "ubinary").tobytes()
    ranges = embedkit.fit_ranges(full)
    ranges.save("ranges.json")
    assert run("encode", bundle, *fixed, "int8", "--ranges", "ranges.json")[0] == 0
    assert np.load("v.npy").tobytes() == embedkit.quantize(full, "int8", ranges=ranges).tobytes()
    code, out, _ = run(
        "encode", bundle, "text 3", "--variant", "fp32", "--precision", "uint8", "--ranges", "ranges.json"
    )
    assert code == 0
    assert json.loads(out) == embedkit.quantize(full[3:4], "uint8", ranges=ranges)[0].tolist()
    assert run("encode", bundle, *fixed, "int8")[0] == 2
    assert "found 'int4'" in error(run("encode", bundle, *fixed, "int4"))
    assert "No such file" in error(run("encode", bundle, *fixed, "int8", "--ranges", "none.json"))


def test_the_engine_is_said(run, bundle, folder):
    (folder / "texts.txt").write_text("one")
    _, _, err = run("encode", bundle, "--input", "texts.txt", "--output", "v.npy", "--engine", "onnxruntime")
    assert "onnxruntime: it was named" in err
    assert (
        "engine       onnxruntime, variant int8, device cpu: " in run("inspect", bundle, "--engine", "onnxruntime")[1]
    )
    loaded = json.loads(run("inspect", bundle, "--engine", "onnxruntime", "--json")[1])["loaded"]
    assert loaded["engine"] == "onnxruntime"
    assert "engine       " not in run("inspect", bundle)[1]
    assert "expected 'auto' or one of onnxruntime, openvino" in error(
        run("encode", bundle, "text", "--engine", "tensorrt")
    )


def test_encode_of_a_line_that_is_no_text_leaves_the_old_file(run, bundle, folder):
    (folder / "v.npy").write_text("old")
    (folder / "texts.txt").write_bytes(b"fine\n\xff\n")
    found = error(run("encode", bundle, "--input", "texts.txt", "--output", "v.npy"))
    assert "texts.txt, line 2: not valid UTF-8" in found
    assert (folder / "v.npy").read_text() == "old"
    assert sorted(path.name for path in folder.iterdir()) == ["texts.txt", "v.npy"]
