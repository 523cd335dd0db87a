"""The command line without what it needs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("package", ["torch", "onnx_ir", "sentence_transformers"])
def test_a_missing_package_names_the_extra(package: str, tmp_path: Path) -> None:
    code = f"import sys; sys.modules[{package!r}] = None; from embedkit_export import cli; sys.argv[1:] = ['x', '-o', 'y']; cli.main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 1
    assert f"needs the package {package!r}: run  pip install 'embedkit-onnx[export]'" in done.stderr
    assert "Traceback" not in done.stderr
