"""An export that is cut goes on from what it had proved, and gives the bytes of one that was not."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import embedkit_export
from embedkit import ExportError
from embedkit.bundle.manifest import Output, Quality, Variant
from embedkit.vectors.multivector import MultiVectors
from embedkit.vectors.sparse import SparseVectors
from embedkit.vectors.values import equal
from embedkit_export import Gates
from embedkit_export.pipeline.unfinished import Proven, Unfinished
from embedkit_export.verification import reference
from embedkit_export.verification.judge import Judge

DENSE = {"dense": Output(kind="dense", dim=3)}
KINDS = {
    **DENSE,
    "words": Output(kind="sparse", dim=9),
    "tokens": Output(kind="multivector", dim=2),
}


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def left(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.startswith(".")]


class Cut:
    """Judging that ends with Ctrl-C at a variant, and counts what was judged and how often torch was asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.judged: list[str] = []
        self.asked = 0
        self.at = ""
        judge, values = Judge.judge, reference.values

        def judging(own: Judge, folder: Path, variant: str) -> Any:
            if variant == self.at:
                raise KeyboardInterrupt
            self.judged.append(variant)
            return judge(own, folder, variant)

        def asking(*given: Any, **named: Any) -> Any:
            self.asked += 1
            return values(*given, **named)

        monkeypatch.setattr(Judge, "judge", judging)
        monkeypatch.setattr(reference, "values", asking)


@pytest.fixture
def cut(monkeypatch: pytest.MonkeyPatch) -> Cut:
    return Cut(monkeypatch)


@pytest.fixture
def export(folder: Path, sample: Path) -> Callable[..., Any]:
    def run(output: Path, **options: Any) -> Any:
        given = {"sample": sample, "variants": ["fp32", "int8"]} | options
        return embedkit_export.export(folder, output=output, timing=False, **given)

    return run


def test_an_export_that_was_cut_goes_on(export: Callable[..., Any], cut: Cut, tmp_path: Path) -> None:
    report = export(tmp_path / "whole")
    assert cut.judged == ["fp32", "int8"]
    assert cut.asked
    assert left(tmp_path) == [], "a finished export leaves nothing beside it"
    cut.judged, cut.asked, cut.at = [], 0, "int8"
    with pytest.raises(KeyboardInterrupt):
        export(tmp_path / "cut")
    assert not (tmp_path / "cut").exists()
    assert cut.judged == ["fp32"]
    assert cut.asked
    assert len(left(tmp_path)) == 1
    cut.judged, cut.asked, cut.at = [], 0, ""
    again = export(tmp_path / "cut")
    assert cut.judged == ["int8"]
    assert not cut.asked
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole")
    assert (again.operators, again.notes, again.missing) == (report.operators, report.notes, report.missing)
    assert left(tmp_path) == []


@pytest.mark.parametrize("other", ["gates", "sample", "max_tokens"])
def test_what_was_proved_of_another_export_is_not_taken(
    export: Callable[..., Any], cut: Cut, tmp_path: Path, other: str, sample: Path
) -> None:
    more = tmp_path / "more.jsonl"
    more.write_text(sample.read_text().replace(' 3"', ' three"'))
    changed = {"gates": {"gates": Gates(cosine_min=0.5)}, "sample": {"sample": more}, "max_tokens": {"max_tokens": 9}}
    cut.at = "int8"
    with pytest.raises(KeyboardInterrupt):
        export(tmp_path / "bundle")
    cut.judged, cut.asked, cut.at = [], 0, ""
    export(tmp_path / "bundle", **changed[other])
    assert cut.judged == ["fp32", "int8"]
    assert cut.asked
    assert left(tmp_path) == []


def test_a_model_that_does_not_pass_leaves_nothing(export: Callable[..., Any], tmp_path: Path) -> None:
    with pytest.raises(ExportError):
        export(tmp_path / "bundle", gates=Gates(parity=1e-12))
    assert left(tmp_path) == []


def test_what_was_damaged_meanwhile_is_made_again(export: Callable[..., Any], cut: Cut, tmp_path: Path) -> None:
    export(tmp_path / "whole")
    cut.at = "int8"
    with pytest.raises(KeyboardInterrupt):
        export(tmp_path / "cut")
    for path in tmp_path.glob(".cut.unfinished-*/*"):
        if path.suffix in (".onnx", ".npz"):
            path.write_bytes(path.read_bytes()[:-100] + bytes(100))
    cut.judged, cut.asked, cut.at = [], 0, ""
    export(tmp_path / "cut")
    assert cut.judged == ["fp32", "int8"]
    assert cut.asked
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole")


def test_a_killed_export_goes_on_in_another_process(
    export: Callable[..., Any],
    cut: Cut,
    folder: Path,
    sample: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """kill -9 as soon as the first variant is told as verified; this process, with other hashes of strings, takes it over."""
    command = [sys.executable, "-m", "embedkit_export.cli", str(folder), "--sample", str(sample), "--no-timing"]
    command += ["--output", str(tmp_path / "bundle")]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as first:
        assert first.stderr is not None
        assert any(line.startswith("verify fp32") for line in first.stderr)
        first.kill()
    assert not (tmp_path / "bundle").exists()
    export(tmp_path / "bundle", variants=None, progress=True)
    assert "take fp32 over from the run that was cut" in capsys.readouterr().err
    assert cut.judged == ["int8"]
    assert not cut.asked
    assert left(tmp_path) == []


def test_torchs_values_come_back_as_they_were(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    made = {
        "dense": random.standard_normal((4, 3)).astype(np.float32),
        "words": SparseVectors.of(random.random((4, 9), dtype=np.float32)),
        "tokens": MultiVectors.of([random.random((n, 2), dtype=np.float32) for n in (1, 3, 2, 1)], 2),
    }
    asked = []

    def make() -> Any:
        asked.append(1)
        return made

    for _ in range(2):
        found = Unfinished(tmp_path / "bundle", "key").values("role/of any name", KINDS, 4, make)
        assert all(equal(found[name], made[name]) for name in KINDS)
    assert len(asked) == 1
    Unfinished(tmp_path / "bundle", "other").values("role/of any name", KINDS, 4, make)
    Unfinished(tmp_path / "bundle", "key").values("role/of any name", KINDS, 5, make)
    assert len(asked) == 3


def test_a_variant_that_failed_is_known(tmp_path: Path) -> None:
    kept = Unfinished(tmp_path / "bundle", "key")
    proven = Proven({}, {}, [], {"spearman": 0.5}, "worst cosine: 0.1")
    kept.keep("int8", tmp_path, proven)
    assert kept.find("int8", tmp_path) == proven
    assert kept.find("fp16", tmp_path) is None


def test_a_file_that_is_gone_leaves_no_other(tmp_path: Path) -> None:
    kept, folder = Unfinished(tmp_path / "bundle", "key"), tmp_path / "work"
    folder.mkdir()
    for name in ("a.onnx", "b.data"):
        (folder / name).write_bytes(name.encode())
    quality = Quality(texts=0, max_abs=0.0, cosine_mean=0.0, cosine_min=0.0, top10_overlap=0.0)
    variant = Variant(file="a.onnx", data=["b.data"], quality=quality, golden_cosine_min=1.0)
    kept.keep("fp32", folder, Proven({"default": variant}, {}, [], {}, None))
    for path in folder.iterdir():
        path.unlink()
    assert kept.find("fp32", folder) is not None
    assert contents(folder) == {"a.onnx": b"a.onnx", "b.data": b"b.data"}
    for path in folder.iterdir():
        path.unlink()
    next(tmp_path.glob(".bundle.unfinished-key/b.data")).unlink()
    assert kept.find("fp32", folder) is None
    assert not list(folder.iterdir())


def test_where_nothing_can_be_kept_the_export_goes_on(tmp_path: Path) -> None:
    (tmp_path / ".bundle.unfinished-key").write_text("no folder")
    kept = Unfinished(tmp_path / "bundle", "key")
    made = {"dense": np.ones((2, 3), np.float32)}
    assert kept.values("default", DENSE, 2, lambda: made) is made
    kept.keep("int8", tmp_path, Proven({}, {}, [], {}, "why"))
    assert kept.find("int8", tmp_path) is None
