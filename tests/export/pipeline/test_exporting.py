"""Nothing is written unless it passed: failing checks, cut exports, bad input, and the command line."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
import torch
from transformers import AutoModel, AutoTokenizer

import embedkit_export
from embedkit import BundleError, Encoder, ExportError, InputError
from embedkit_export import Gates, cli, files
from embedkit_export.sources import weight_files
from embedkit_export.verification import parity as verify
from embedkit_export.verification.parity import Case
from helpers import models


def run(*arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "embedkit_export.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload, no-any-return]


class Terminal(io.StringIO):
    """What is written to it is kept, and it says that it is a terminal."""

    def isatty(self) -> bool:
        return True


def called(*arguments: object, terminal: bool = False) -> subprocess.CompletedProcess[str]:
    """`run` in this process, which has loaded torch already; with ``terminal`` where standard error is one."""
    out, err, code = io.StringIO(), Terminal() if terminal else io.StringIO(), 0
    with redirect_stdout(out), redirect_stderr(err), pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["embedkit-export", *map(str, arguments)])
        try:
            cli.main()
        except SystemExit as end:
            code = int(end.code or 0)
    return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())


def test_a_variant_below_its_gate_is_not_written(folder: Path, sample: Path, tmp_path: Path) -> None:
    """It is tried in safer forms; if none passes, the bundle is written without it, and without any other not at all."""
    strict = Gates(cosine_min=1.0)
    report = embedkit_export.export(folder, output=tmp_path / "bundle", sample=sample, gates=strict)
    assert list(report.manifest.towers["default"].graph.variants) == ["fp32"]  # type: ignore[union-attr]
    assert "row-wise int8: worst cosine: 0.99" in report.missing["int8"]
    assert "most sensitive 50% of the products in fp32: worst cosine" in report.missing["int8"]
    assert "with the first 50% of the products in fp32: worst cosine" in report.missing["int8"]
    assert "int8: NOT WRITTEN" in report.text()
    assert "`int8` was asked for and is not here" in (report.path / "README.md").read_text()
    assert not list(report.path.glob("*int8*"))
    with pytest.raises(ExportError, match=r"(?s)int8: row-wise int8: worst cosine.*next: export fp32 too"):
        embedkit_export.export(folder, output=tmp_path / "other", variants=["int8"], sample=sample, gates=strict)
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_int8_that_depends_on_its_batch_is_caught(
    folder: Path, sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The usual dynamic int8, one scale for the whole batch, is close enough in cosine and still refused."""

    save = files.save

    def per_tensor(graph: ir.Model, work: Path, name: str) -> tuple[str, list[str]]:
        from onnxruntime.quantization import QuantType, quantize_dynamic

        saved = save(graph, work, name)
        if "int8" in name:
            options = {"DefaultTensorType": 1}
            quantize_dynamic(
                work / "model.fp32.onnx",
                work / saved[0],
                weight_type=QuantType.QInt8,
                per_channel=True,
                extra_options=options,
            )
        return saved

    monkeypatch.setattr(files, "save", per_tensor)
    report = embedkit_export.export(
        folder,
        output=tmp_path / "bundle",
        sample=sample,
        gates=Gates(cosine_min=0.5, cosine_mean=0.5, top10_overlap=0),
    )
    assert re.search(r"row independence: \d+ of \d+ vectors change with their batch", report.missing["int8"])
    assert not list(report.path.glob("*int8*"))


def test_an_unusual_text_is_noted_and_a_usual_one_decides(folder: Path, sample: Path, tmp_path: Path) -> None:
    bundle = embedkit_export.export(folder, output=tmp_path / "bundle", sample=sample).path
    judged = ["unusual", *models.SENTENCES]
    vectors = Encoder.load(bundle, variant="int8").encode(judged)
    gates = Gates(top10_overlap=0)
    for row, problems, notes in ((0, 0, 1), (1, 2, 0)):
        expected = vectors.copy()
        expected[row] *= -1
        verdict = verify.judge(
            Encoder.load(bundle, variant="int8"), [Case("default", list(judged), {"dense": expected}, 1)], gates
        )
        assert (len(verdict.problems), len(verdict.notes)) == (problems, notes)
        assert verdict.quality.texts == len(models.SENTENCES)
    expected = Encoder.load(bundle, variant="fp32").encode(judged)
    expected[0] *= -1
    verdict = verify.judge(
        Encoder.load(bundle, variant="fp32"), [Case("default", list(judged), {"dense": expected}, 1)], gates
    )
    assert len(verdict.problems) == 1
    assert "parity" in verdict.problems[0]


def test_a_gate_for_each_variant(folder: Path, sample: Path, tmp_path: Path) -> None:
    gates = {"int8": Gates(cosine_min=1.0), "default": Gates(cosine_min=0.5, cosine_mean=0.5, top10_overlap=0)}
    report = embedkit_export.export(
        folder, output=tmp_path / "bundle", variants=["fp32", "int8", "w4"], sample=sample, gates=gates, timing=False
    )
    assert list(report.manifest.towers["default"].graph.variants) == ["fp32", "w4"]  # type: ignore[union-attr]
    assert re.search(r"worst cosine: 0\.\d+, allowed from 1", report.missing["int8"])


@pytest.mark.parametrize("gates", [{"int3": Gates()}, {"int8": 0.9}, 0.9])
def test_gates_of_the_wrong_kind(gates: object, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="gates: "):
        embedkit_export.export(folder, output=tmp_path / "bundle", gates=gates)  # type: ignore[arg-type]


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
    with pytest.raises(ExportError, match="no weights beside config.json"):
        embedkit_export.export(tmp_path / "broken", output=out, sample=sample)
    for options, message in (
        ({"variants": ["int3"]}, "found int3"),
        ({"variants": []}, "found none"),
        ({"max_tokens": 2}, "at least 3"),
        ({"pooling": "middle"}, "expected one of cls, first, mean"),
        ({"recipe": tmp_path / "absent.toml"}, "cannot be read"),
        ({"sample": tmp_path / "absent.txt"}, "expected readable UTF-8 text"),
        ({"sample": tmp_path / "file"}, "found nothing"),
    ):
        with pytest.raises(InputError, match=message):
            embedkit_export.export(folder, output=out, **{"sample": sample, **options})
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
    monkeypatch.setattr(files, "_EXTERNAL_FROM", 1)
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
    told = [
        re.fullmatch(r"(.+) \.\.\. (\d+\.\d) s(?:, about \d+ (?:s|min) left)?", line)
        for line in done.stderr.splitlines()
    ]
    steps = {step[1]: float(step[2]) for step in told if step}
    assert list(steps) == [
        *("load the model", "read the sample", "capture the graph", "encode with torch"),
        *("write fp32", "verify fp32", "write int8", "verify int8", "draw the report"),
    ], done.stderr
    assert len(told) == len(steps), done.stderr
    assert 0.5 * report["seconds"] <= sum(steps.values()) <= report["seconds"] + 0.05 * len(steps)
    assert Encoder.load(out).encode("a").shape == (64,)
    card = (out / "README.md").read_text()
    assert "| int8 |" in card
    again = called(folder, "--output", out, "--sample", sample)
    assert again.returncode == 1
    assert "pass --overwrite" in again.stderr
    assert "Traceback" not in again.stderr
    replaced = called(folder, "--output", out, "--sample", sample, "--overwrite", "--variants", "int8", "--quiet")
    assert (replaced.returncode, replaced.stderr) == (0, "")
    assert "pooling 'mean' was taken" in replaced.stdout
    assert Encoder.load(out).variant == "int8"
    without = called(
        folder, "--output", tmp_path / "other", "--sample", sample, "--min-cosine", "int8=1", terminal=True
    )
    assert without.returncode == 3
    assert re.search(r"\r 44%\|[^|]+\| \d\d:\d\d write fp32", without.stderr)
    assert " ... " not in without.stderr
    assert "int8: NOT WRITTEN" in without.stdout
    assert Encoder.load(tmp_path / "other").variant == "fp32"
    wrong = called(folder, "--output", tmp_path / "third", "--max-loss", "int3=0.1")
    assert (wrong.returncode, "gate labels: expected one of the variants" in wrong.stderr) == (1, True)
    failed = called(
        folder, "--output", tmp_path / "third", "--sample", sample, "--min-cosine", "1", "--variants", "int8"
    )
    assert failed.returncode == 1
    assert re.search(r"^verify int8 \.\.\. \d+\.\d s$", failed.stderr, re.MULTILINE)
    assert "nothing was written" in failed.stderr
    assert not (tmp_path / "third").exists()
    dry = called(folder, "--dry-run", "--pooling", "last")
    assert dry.returncode == 0, dry.stderr
    assert "pooling last" in dry.stdout
    assert "at most 64 tokens" in dry.stdout
    explained = called(out, "--explain", "--json")
    assert explained.returncode == 0, explained.stderr
    profile = json.loads(explained.stdout)[0]
    assert profile["variant"] == "int8"
    assert profile["operators"]["MatMulIntegerToFloat"] == 6
    assert sum(profile["seconds"].values()) == pytest.approx(1, abs=0.01)
    assert profile["tokens_per_second"] > 0
    assert called(folder).returncode == 2
    assert called(tmp_path, "--output", tmp_path / "other").returncode == 1
    assert "embedkit-export ./my-model" in called("--help").stdout


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


def test_two_sets_of_weights_in_one_bundle(sample: Path, tmp_path: Path) -> None:
    query = models.save("bert", tmp_path / "query", seed=1)
    document = models.save("bert", tmp_path / "document", seed=2)
    (tmp_path / "recipe.toml").write_text('pooling = "first"\n[roles.query]\nmodel = "query"\n[roles.document]\n')
    report = embedkit_export.export(
        document, recipe=tmp_path / "recipe.toml", output=tmp_path / "bundle", sample=sample, timing=False
    )
    assert {"model.int8.onnx", "model.query.int8.onnx"} <= set(report.manifest.files)
    both = Encoder.load(report.path, variant="fp32")
    for role, source in (("query", query), ("document", document), ("default", document)):
        alone = embedkit_export.export(
            source,
            pooling="cls",
            output=tmp_path / "alone",
            sample=sample,
            variants=["fp32"],
            timing=False,
            overwrite=True,
        )
        expected = Encoder.load(alone.path).encode(list(models.SENTENCES))
        assert np.abs(both.encode(list(models.SENTENCES), role=role) - expected).max() < 1e-6


def test_weights_are_let_go_of_what_was_loaded_and_never_of_what_was_handed_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = models.save("bert", tmp_path / "model")
    embedkit_export.export(folder, output=tmp_path / "kept", variants=["fp32"], timing=False)
    monkeypatch.setattr(weight_files, "LARGE", 1)
    embedkit_export.export(folder, output=tmp_path / "let-go", variants=["fp32"], timing=False)
    graphs = [next((tmp_path / name).glob("*.onnx")).read_bytes() for name in ("kept", "let-go")]
    assert graphs[0] == graphs[1]
    model, tokenizer = AutoModel.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    embedkit_export.export((model, tokenizer), output=tmp_path / "live", variants=["fp32"], timing=False)
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())
