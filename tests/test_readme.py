"""The README's code runs, and its commands exist."""

from __future__ import annotations

import asyncio
import gzip
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from embedkit.testing.tiny import tiny_bundle

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")


@pytest.mark.usefixtures("entry_points")
def test_the_code_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    tiny_bundle(tmp_path / "bundle")
    (tmp_path / "millions.txt").write_text("one\ntwo\n")
    (tmp_path / "README.md").write_text(README, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len(blocks) == 6
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, "README.md", "exec"), names)
    assert re.match(r"-?\d\.\d+ \S+", capsys.readouterr().out)
    assert asyncio.run(names["answer"]()).shape == (8,)  # type: ignore[operator]
    assert names["vectors"].shape == (2, 8)  # type: ignore[attr-defined]


def test_the_first_screen() -> None:
    first = README.split("## Export")[0]
    assert len(first.splitlines()) < 45
    assert "make demo" in first
    assert "make test" in first
    assert "pip install embedkit\n" not in README
    code = re.search(r"```python\n(.*?)```", first, re.DOTALL)
    assert code is not None
    assert len([line for line in code[1].splitlines() if line.strip()]) == 8


@pytest.mark.usefixtures("entry_points")
def test_the_commands_of_the_sources_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those between the tables, as a shell would run them."""
    tiny_bundle(tmp_path / "bundle", max_tokens=300)
    (tmp_path / "manual").mkdir()
    (tmp_path / "manual" / "guide.md").write_text("# Guide\n\n" + "A sentence. " * 100, encoding="utf-8")
    (tmp_path / "table.csv").write_text("id,text\n1,one\n", encoding="utf-8")
    table = "sku\tname\tdescription\tprice\n7\tTea\tgreen\t5\n8\tcut\n"
    (tmp_path / "products.tsv.gz").write_bytes(gzip.compress(table.encode()))
    first, second, third = re.findall(r"collection .*", shell(tmp_path, "gzip -dc"))
    assert "0 not usable" in first
    assert "1 written, 0 unchanged, 0 duplicates, 1 not usable" in second
    assert "1 read, 0 written, 0 unchanged, 0 duplicates, 1 not usable" in third


@pytest.mark.usefixtures("entry_points")
def test_the_commands_that_keep_a_collection_true_run(tmp_path: Path) -> None:
    pytest.importorskip("chromadb")
    pytest.importorskip("sqlite_vec")
    tiny_bundle(tmp_path / "bundle")
    (tmp_path / "articles.jsonl").write_text("".join(f'{{"id": {i}, "text": "who won {i}"}}\n' for i in range(9)))
    said, synced, checked, copied = re.findall(r"collection .*", shell(tmp_path, "embedkit sync"))
    assert "9 new" in said
    assert "9 written" in synced
    assert "9 rows, the source has 9" in checked
    assert "9 rows read, 9 written" in copied


def shell(folder: Path, part: str) -> str:
    """What the block of commands with this part in it prints."""
    block = next(block for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL) if part in block)
    (folder / "embedkit").write_text(f'#!/bin/sh\nexec {sys.executable} -m embedkit "$@"\n')
    (folder / "embedkit").chmod(0o755)
    env = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(["sh", "-e"], input=block, cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_targets_and_options_exist() -> None:
    makefile = (Path(__file__).parent.parent / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"^make (\w+)", README, re.MULTILINE):
        assert f"\n{target}:" in makefile
    from click.testing import CliRunner

    from embedkit.cli.entry import app
    from embedkit_export.cli import app as export_app

    known = "".join(
        CliRunner(env={"COLUMNS": "200"}).invoke(application, [*command, "--help"]).output
        for application, command in (
            *((app, [name]) for name in ("encode", "ingest", "sync", "check", "search", "eval")),
            (export_app, []),
        )
    )
    for option in set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", README)):
        assert option in known, option


def test_the_recipes_are_recipes() -> None:
    pytest.importorskip("torch")
    from embedkit_export.modules import output_heads as outputs
    from embedkit_export.recipes import audio, images, recipe
    from embedkit_export.recipes.outputs import Dense

    page = (Path(__file__).parent.parent / "export" / "RECIPES.md").read_text(encoding="utf-8")
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
