"""The README is one screen or two, its code runs, and its targets, options and recipes exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from helpers.pages import ROOT, Runner

README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_it_is_short() -> None:
    assert len(README.splitlines()) <= 120
    assert "make demo" in README
    assert "make test" in README
    assert "pip install embedkit\n" not in README
    code = re.search(r"```python\n(.*?)```", README, re.DOTALL)
    assert code is not None
    assert len([line for line in code[1].splitlines() if line.strip()]) <= 15


@pytest.mark.usefixtures("entry_points")
def test_the_code_runs(tmp_path: Path) -> None:
    """As it stands; the shell's commands run again over what the Python code has made."""
    pytest.importorskip("chromadb")
    pytest.importorskip("starlette")
    pytest.importorskip("torch")
    from helpers.models import save

    save("bert", tmp_path / "my-model")
    (tmp_path / "docs.jsonl").write_text('{"id": 1, "text": "Compress bytes."}\n')
    runner = Runner(tmp_path)
    runner.run(README.replace("embedkit-export my-model --output bundle", "embedkit verify bundle"))
    assert runner.ran == 3


def test_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"^make ([\w-]+)", README, re.MULTILINE):
        assert f"\n{target}:" in makefile


def test_the_recipes_are_recipes() -> None:
    pytest.importorskip("torch")
    from embedkit_export.modules import output_heads as outputs
    from embedkit_export.recipes import audio, images, recipe
    from embedkit_export.recipes.outputs import Dense

    page = (ROOT / "docs" / "reference" / "recipe.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    assert len(blocks) == 14
    for block in blocks:
        assert recipe.parse(block) != recipe.Recipe()
    tables = set(re.findall(r"^\| `(\w+)`", page, re.MULTILINE))
    kinds = (recipe.Role, recipe.Pooling, recipe.Surgery, recipe.IdsInput, recipe.TableOf, images.ImageInput)
    heard = (audio.AudioInput, audio.MelInput)
    for kind in (*kinds, *heard, outputs.Sparse, outputs.MultiVector, outputs.Logits, Dense):
        missing = set(kind.__struct_encode_fields__) - {*re.findall(r"`(\w+)`", page)}
        assert not missing, (kind, missing)
    assert tables
