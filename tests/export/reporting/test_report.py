"""What an export says at its end."""

from __future__ import annotations

import json

import msgspec
import pytest

from embedkit import Bundle
from embedkit.bundle.quality import quality_table
from embedkit.bundle.summary import measured_variants, variant_bytes
from embedkit.testing.tiny import tiny_bundle
from embedkit_export.reporting.report import ExportReport


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> ExportReport:
    bundle = Bundle.open(tiny_bundle(tmp_path_factory.mktemp("report") / "b"))
    operators = {"fp32": {"MatMul": 3}}
    return ExportReport(bundle.folder, bundle.manifest, operators, "a sample", ["odd"], 1.2345, {"w4": "too far"})


def test_for_people(report: ExportReport) -> None:
    variants = measured_variants(report.manifest)
    sizes = {name: variant_bytes(report.manifest, variant) for name, variant in variants.items()}
    table = quality_table(variants, sizes).text()
    assert report.text().startswith(table + "\nagainst torch on ")
    assert "(a sample)" in report.text()
    assert report.text().splitlines()[-2:] == ["w4: NOT WRITTEN: too far", "note: odd"]
    assert "the first numbers of a vector" not in report.text()


def test_for_programs(report: ExportReport) -> None:
    whole = json.loads(report.to_json())
    assert whole["manifest"] == msgspec.to_builtins(report.manifest)
    assert {name: whole[name] for name in ("sample", "notes", "missing", "seconds", "operators", "path")} == {
        "sample": "a sample",
        "notes": ["odd"],
        "missing": {"w4": "too far"},
        "seconds": 1.23,
        "operators": {"fp32": {"MatMul": 3}},
        "path": str(report.path),
    }
