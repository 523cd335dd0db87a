"""Nothing is written unless it passed: failing checks, cut exports, bad input, and the command line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

import embedkit_export
from embedkit import BundleError, Encoder, ExportError, InputError
from embedkit_export import Gates, exporting, fuse, texts, verify
from export import models


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return models.save("bert", tmp_path_factory.mktemp("exporting") / "bert")


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sample") / "texts.jsonl"
    path.write_text(
        "\n".join(json.dumps({"id": i, "text": f"{text} {i}"}) for i in range(8) for text in models.SENTENCES)
    )
    return path


def run(*arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "embedkit_export.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload, no-any-return]


def test_a_wrong_graph_is_not_written(
    folder: Path, sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = fuse.fuse

    def spoil(model: ir.Model) -> object:
        made = original(model)
        weight = next(value for name, value in model.graph.initializers.items() if "scaled" in name)
        assert weight.const_value is not None
        weight.const_value = ir.tensor(weight.const_value.numpy() * np.float32(1.02), name=weight.name)
        return made

    monkeypatch.setattr(exporting.fuse, "fuse", spoil)
    with pytest.raises(ExportError, match="fp32: parity: largest difference from torch"):
        embedkit_export.export(folder, output=tmp_path / "bundle", sample=sample)
    assert list(tmp_path.iterdir()) == []


def test_a_variant_below_its_gate_is_not_written(folder: Path, sample: Path, tmp_path: Path) -> None:
    with pytest.raises(
        ExportError, match=r"(?s)int8: worst cosine: 0\.\d+, allowed from 1.*export only --variants fp32"
    ):
        embedkit_export.export(folder, output=tmp_path / "bundle", sample=sample, gates=Gates(cosine_min=1.0))
    assert list(tmp_path.iterdir()) == []


def test_int8_that_depends_on_its_batch_is_caught(
    folder: Path, sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The usual dynamic int8, one scale for the whole batch, is close enough in cosine and still refused."""

    save = exporting._save

    def per_tensor(graph: ir.Model, work: Path, variant: str) -> tuple[str, list[str]]:
        from onnxruntime.quantization import QuantType, quantize_dynamic

        saved = save(graph, work, variant)
        if variant == "int8":
            options = {"DefaultTensorType": 1}
            quantize_dynamic(
                work / "model.fp32.onnx",
                work / saved[0],
                weight_type=QuantType.QInt8,
                per_channel=True,
                extra_options=options,
            )
        return saved

    monkeypatch.setattr(exporting, "_save", per_tensor)
    with pytest.raises(ExportError, match="int8: row independence: .* vectors change with their batch"):
        embedkit_export.export(
            folder,
            output=tmp_path / "bundle",
            sample=sample,
            gates=Gates(cosine_min=0.5, cosine_mean=0.5, top10_overlap=0),
        )
    assert list(tmp_path.iterdir()) == []


def test_an_unusual_text_is_noted_and_a_usual_one_decides(folder: Path, sample: Path, tmp_path: Path) -> None:
    bundle = embedkit_export.export(folder, output=tmp_path / "bundle", sample=sample).path
    judged = ["unusual", *models.SENTENCES]
    vectors = Encoder.load(bundle, variant="int8").encode(judged)
    gates = Gates(top10_overlap=0)
    for row, problems, notes in ((0, 0, 1), (1, 2, 0)):
        expected = vectors.copy()
        expected[row] *= -1
        verdict = verify.judge(bundle, "int8", judged, {"default": expected}, gates, hostile=1)
        assert (len(verdict.problems), len(verdict.notes)) == (problems, notes)
        assert verdict.quality.texts == len(models.SENTENCES)
    expected = Encoder.load(bundle, variant="fp32").encode(judged)
    expected[0] *= -1
    verdict = verify.judge(bundle, "fp32", judged, {"default": expected}, gates, hostile=1)
    assert len(verdict.problems) == 1
    assert "parity" in verdict.problems[0]


def test_measure_is_what_its_name_says() -> None:
    rng = np.random.default_rng(0)
    a = rng.normal(size=(40, 8)).astype(np.float32)
    same = verify.measure(a * 2, a)
    assert (same.cosine_mean, same.cosine_min, same.top10_overlap) == (1.0, 1.0, 1.0)
    assert same.max_abs == pytest.approx(np.abs(a).max())
    other = a.copy()
    other[3] = -other[3]
    changed = verify.measure(other, a)
    assert changed.cosine_min == pytest.approx(-1)
    assert changed.top10_overlap < 1
    b = rng.normal(size=(40, 8)).astype(np.float32)
    overlap = []
    for vectors in (a, b):
        unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        scores = unit @ unit.T
        overlap.append([set([j for j in np.argsort(-scores[i]) if j != i][:10]) for i in range(40)])
    expected = np.mean([len(x & y) / 10 for x, y in zip(*overlap, strict=True)])
    assert verify.measure(a, b).top10_overlap == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    "gates", [{"parity": 0.0}, {"parity": float("nan")}, {"cosine_min": 1.5}, {"top10_overlap": float("nan")}]
)
def test_gates_that_cannot_be(gates: dict[str, float]) -> None:
    with pytest.raises(InputError, match=next(iter(gates))):
        Gates(**gates)


def test_bad_input(folder: Path, sample: Path, tmp_path: Path) -> None:
    out = tmp_path / "bundle"
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    for model, message in (
        (tmp_path / "empty", "no model here: expected modules.json"),
        (tmp_path / "file", "found a file"),
        (tmp_path / "absent", "there is no such folder"),
        (7, "found int"),
    ):
        with pytest.raises(ExportError, match=message):
            embedkit_export.export(model, output=out, sample=sample)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "config.json").write_text('{"model_type": "bert", "hidden_size": 8}')
    with pytest.raises(ExportError, match="cannot be loaded"):
        embedkit_export.export(tmp_path / "broken", output=out, sample=sample)
    for options, message in (
        ({"variants": ["int3"]}, "found int3"),
        ({"variants": []}, "found none"),
        ({"max_tokens": 2}, "at least 3"),
        ({"sample": tmp_path / "absent.txt"}, "cannot be read"),
        ({"sample": tmp_path / "file"}, "at least two different texts"),
    ):
        with pytest.raises(InputError, match=message):
            embedkit_export.export(folder, output=out, **{"sample": sample, **options})
    (tmp_path / "separators.jsonl").write_text('{"text": "one\u2028line"}\r\n{"text": "b"}\n', encoding="utf-8")
    assert len(texts.sample(tmp_path / "separators.jsonl")[0]) == 2
    (tmp_path / "bad.jsonl").write_text('{"text": "a"}\n{"txt": "b"}\n')
    with pytest.raises(InputError, match=r"bad\.jsonl, line 2"):
        embedkit_export.export(folder, output=out, sample=tmp_path / "bad.jsonl")
    assert not out.exists()
    assert not list(tmp_path.glob(".*"))


def test_a_model_that_says_its_pooling_takes_no_other(minilm_folder: Path, sample: Path, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="states its own pooling"):
        embedkit_export.export(minilm_folder, output=tmp_path / "bundle", sample=sample, pooling="cls")


def test_large_weights_go_into_a_file_of_their_own(
    folder: Path, sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = embedkit_export.export(folder, output=tmp_path / "inside", sample=sample)
    monkeypatch.setattr(exporting, "_EXTERNAL_FROM", 1)
    outside = embedkit_export.export(folder, output=tmp_path / "outside", sample=sample)
    assert {"model.fp32.onnx.data", "model.int8.onnx.data"} <= set(outside.manifest.files)
    for variant in ("fp32", "int8"):
        vectors = [
            Encoder.load(report.path, variant=variant).encode(list(models.SENTENCES)) for report in (inside, outside)
        ]
        assert np.array_equal(vectors[0], vectors[1])
    with (outside.path / "model.fp32.onnx.data").open("r+b") as file:
        file.write(b"\x7f")
    with pytest.raises(BundleError, match=r"model\.fp32\.onnx\.data: sha256"):
        Encoder.load(outside.path, variant="fp32")
    assert str(tmp_path).encode() not in (outside.path / "model.fp32.onnx").read_bytes()


def test_command_line(folder: Path, sample: Path, tmp_path: Path) -> None:
    out = tmp_path / "bundle"
    done = run(folder, "--output", out, "--sample", sample, "--pooling", "cls", "--normalize", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert set(report["manifest"]["towers"]["default"]["graph"]["variants"]) == {"fp32", "int8"}
    assert Encoder.load(out).encode("a").shape == (64,)
    card = (out / "README.md").read_text()
    assert "| int8 |" in card
    again = run(folder, "--output", out, "--sample", sample)
    assert again.returncode == 1
    assert "pass --overwrite" in again.stderr
    assert "Traceback" not in again.stderr
    replaced = run(folder, "--output", out, "--sample", sample, "--overwrite", "--variants", "int8")
    assert replaced.returncode == 0, replaced.stderr
    assert "mean is used" in replaced.stdout
    assert Encoder.load(out).variant == "int8"
    failed = run(folder, "--output", tmp_path / "other", "--sample", sample, "--min-cosine", "1")
    assert failed.returncode == 1
    assert "nothing was written" in failed.stderr
    assert not (tmp_path / "other").exists()
    assert run(folder).returncode == 2
    assert run(tmp_path, "--output", tmp_path / "other").returncode == 1
    assert "embedkit-export ./my-model" in run("--help").stdout


@pytest.mark.parametrize("package", ["torch", "onnx_ir", "sentence_transformers"])
def test_a_missing_package_names_the_extra(package: str, tmp_path: Path) -> None:
    code = f"import sys; sys.modules[{package!r}] = None; from embedkit_export import cli; sys.argv[1:] = ['x', '-o', 'y']; cli.main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 1
    assert f"needs the package {package!r}: run  pip install 'embedkit-onnx[export]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_killed_export_leaves_no_bundle(folder: Path, sample: Path, tmp_path: Path) -> None:
    out = tmp_path / "bundle"
    child = subprocess.Popen(
        [sys.executable, "-m", "embedkit_export.cli", str(folder), "-o", str(out), "--sample", str(sample)]
    )
    limit = time.monotonic() + 120
    while not list(tmp_path.glob(".bundle.partial-*")) and time.monotonic() < limit:
        time.sleep(0.01)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    assert not out.exists()
    with pytest.raises(BundleError):
        Encoder.load(out)
    embedkit_export.export(folder, output=out, sample=sample)
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]
