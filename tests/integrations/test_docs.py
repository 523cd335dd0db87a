"""The blocks of docs/integrations.md run, each where its framework is installed."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from embedkit.testing.tiny import tiny_bundle

PAGE = (Path(__file__).parents[2] / "docs" / "integrations.md").read_text(encoding="utf-8")
BLOCKS = dict(re.findall(r"## ([^\n]+)\n(?:(?!## ).)*?```python\n(.*?)```", PAGE, re.DOTALL))
NEEDS = {
    "LangChain": ["langchain_core", "sqlite_vec"],
    "LlamaIndex": ["llama_index.core", "sqlite_vec"],
    "Haystack 3": ["haystack", "sqlite_vec"],
    "MTEB": ["mteb"],
    "Chroma's own client": ["chromadb"],
    "LanceDB's own client": ["lancedb"],
    "KeyBERT": ["keybert"],
    "txtai": ["txtai"],
}


@pytest.mark.usefixtures("entry_points")
@pytest.mark.parametrize("title", BLOCKS)
def test_a_block(title, tmp_path, monkeypatch, capsys):
    for name in NEEDS.get(title, []):
        pytest.importorskip(name)
    os.environ["HAYSTACK_TELEMETRY_ENABLED"] = "False"
    tiny_bundle(tmp_path / "bundle")
    monkeypatch.chdir(tmp_path)
    exec(compile(BLOCKS[title], title, "exec", dont_inherit=True), {"__name__": "block"})
    assert capsys.readouterr().out


def test_all_are_there():
    assert len(BLOCKS) == 10
    assert set(NEEDS) <= set(BLOCKS)
