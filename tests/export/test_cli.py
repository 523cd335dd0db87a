"""The command line without what it needs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from embedkit_export import cli
from helpers import models


@pytest.mark.parametrize("package", ["torch", "onnx_ir", "sentence_transformers"])
def test_a_missing_package_names_the_extra(package: str, tmp_path: Path) -> None:
    code = f"import sys; sys.modules[{package!r}] = None; from embedkit_export import cli; sys.argv[1:] = ['x', '-o', 'y']; cli.main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 1
    assert f"needs the package {package!r}: run  pip install 'embedkit-onnx[export]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_dry_run_shows_what_late_adds(tmp_path: Path) -> None:
    folder = models.save("bert", tmp_path / "bert")
    command = CliRunner().invoke(cli.app, [str(folder), "--pooling", "mean", "--late", "--dry-run"])
    assert command.exit_code == 0
    assert "dense: dense, 64 dimensions, not normalised, the mean of tokens" in command.output
    assert "tokens: tokens, a vector of 64 dimensions for each token" in command.output
    refused = CliRunner().invoke(cli.app, [str(folder), "--pooling", "first", "--late", "--dry-run"])
    assert "late: the model pools by 'first', and no mean of tokens" in str(refused.exception)
