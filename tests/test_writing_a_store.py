"""The page docs/writing-a-store.md: its plugin, installed as a stranger's, is found and passes the conformance suite."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from embedkit.stores.guarded import GuardedStore
from embedkit.stores.opening import open_store
from embedkit.stores.plugins import describe, store_plugins

PAGE = (Path(__file__).parents[1] / "docs" / "writing-a-store.md").read_text(encoding="utf-8")
BLOCKS = dict(re.findall(r"```(\w+(?: test)?)\n(.*?)```", PAGE, re.DOTALL))

EXAMPLE: dict[str, Any] = {}
exec(BLOCKS["python"] + BLOCKS["python test"], EXAMPLE)
TestDictStore = EXAMPLE["TestDictStore"]


def test_it_has_about_forty_lines():
    body = BLOCKS["python"].partition("class DictStore")[2]
    assert len([line for line in body.splitlines() if line.strip()]) <= 42


def test_it_is_found_by_its_entry_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    info = tmp_path / "your_package-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: your-package\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        BLOCKS["toml"].replace('project.entry-points."embedkit.stores"', "embedkit.stores").replace('"', "")
    )
    (tmp_path / "your_package.py").write_text(BLOCKS["python"])
    monkeypatch.syspath_prepend(tmp_path)
    assert store_plugins()["dict"].value == "your_package:open_store"
    assert list(describe("dict").capabilities) == ["dict:"]
    with open_store("dict:") as store:
        assert isinstance(store, GuardedStore)
        assert type(store.inner).__name__ == "DictStore"
