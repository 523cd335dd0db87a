"""Entry points of packages that are installed beside embedkit."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from embedkit.system.offers import offered


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = tmp_path / "theirs-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[embedkit.nothing]\nb = json:dumps\na = json:loads\n")
    monkeypatch.syspath_prepend(tmp_path)


def test_a_group_by_name(installed: None) -> None:
    assert [entry.name for entry in offered("embedkit.nothing")] == ["a", "b"]
    (one,) = offered("embedkit.nothing", "b")
    assert one.load()([1]) == "[1]"
    assert offered("embedkit.nothing", "c") == []


def test_a_bundle_is_loaded_without_asking_what_is_installed(bundle: Path) -> None:
    code = """
import sys
before = set(sys.modules)
import embedkit
encoder = embedkit.Encoder.load(sys.argv[1], variant="fp32")
encoder.encode(["a text"])
print([name for name in ("importlib.metadata", "tqdm") if name in sys.modules and name not in before])
"""
    done = subprocess.run([sys.executable, "-c", code, str(bundle)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]", "what a first vector does not need is not imported"
