"""Variants are written in the first of their forms that passes."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

import embedkit_export
from embedkit import ExportError
from embedkit_export import ExportReport, Gates
from embedkit_export.pipeline import variant_maker
from helpers import slow


def test_a_wrong_graph_is_not_written(
    folder: Path, sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = variant_maker.fuse

    def spoil(model: ir.Model) -> object:
        made = original(model)
        weight = next(value for name, value in model.graph.initializers.items() if "scaled" in name)
        assert weight.const_value is not None
        weight.const_value = ir.tensor(weight.const_value.numpy() * np.float32(1.02), name=weight.name)
        return made

    monkeypatch.setattr(variant_maker, "fuse", spoil)
    with pytest.raises(ExportError, match="fp32: parity: role 'default': largest difference from torch"):
        embedkit_export.export(folder, output=tmp_path / "bundle", sample=sample)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("variant", "first_form"), slow.but(["int8"], [("int8", "row-wise int8"), ("w4", "4-bit weights in blocks of 32")])
)
def test_the_next_safer_form_is_tried(
    variant: str, first_form: str, folder: Path, sample: Path, tmp_path: Path
) -> None:
    def make(name: str, gates: Gates) -> ExportReport:
        return embedkit_export.export(
            folder, output=tmp_path / name, variants=["fp32", variant], sample=sample, gates=gates, timing=False
        )

    loose = Gates(cosine_min=0, cosine_mean=0, top10_overlap=0)
    first = make("first", loose).manifest.towers["default"].graph.variants[variant]  # type: ignore[union-attr]
    assert first.form == first_form
    worst = first.quality.cosine_min
    gates = Gates(cosine_min=worst + (1 - worst) * 0.02, cosine_mean=0, top10_overlap=0)
    report = make("bundle", gates)
    made = report.manifest.towers["default"].graph.variants[variant]  # type: ignore[union-attr]
    finer = r" with the (most sensitive|first) \d+% of the products in (fp32|8 bits)"
    assert re.fullmatch(first_form + finer, made.form), made.form
    assert made.quality.cosine_min >= gates.cosine_min
    assert any(note.startswith(f"{variant}: {first_form} did not pass: worst cosine") for note in report.notes)
    written = ir.load(report.path / made.file).graph
    if variant == "int8":
        counted = sum(node.op_type == "MatMulIntegerToFloat" for node in written)
        assert counted < 12
        assert report.operators["int8"]["MatMulIntegerToFloat"] == counted  # of the form that was written
    else:
        bits = [node.attributes["bits"].as_int() for node in written if node.op_type == "MatMulNBits"]
        whole = ir.load(report.path / report.manifest.towers["default"].graph.variants["fp32"].file).graph  # type: ignore[union-attr]
        products = sum(node.op_type == "MatMul" and node.inputs[1].is_initializer() for node in whole)
        assert (len(bits), min(bits), max(bits)) == (products, 4, 8)
