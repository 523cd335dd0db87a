"""``embedkit pull``: a bundle into a folder here."""

from __future__ import annotations

import json

import pytest

import embedkit
from helpers.commands import error

fsspec = pytest.importorskip("fsspec")
pytest.importorskip("aiohttp")


@pytest.fixture
def address(bundle):
    fsspec.filesystem("memory").store.clear()
    embedkit.push(bundle, "memory://bucket/minilm")
    yield "memory://bucket/minilm"
    fsspec.filesystem("memory").store.clear()


def test_a_bundle_is_pulled(run, address, folder, bundle):
    code, out, _ = run("pull", address, "--json")
    assert code == 0
    told = json.loads(out)
    assert (told["folder"], told["fetched"], told["address"]) == ("minilm", told["bytes"], address)
    assert run("verify", "minilm")[0] == 0
    assert run("pull", address, "minilm", "--quiet") == (0, "", "")
    code, out, _ = run("pull", address)
    assert code == 0
    assert out.endswith(f"each as its manifest says; 0 bytes fetched from {address}\n")


def test_what_fails_is_one_line(run, address, folder):
    assert "no embedkit.json there" in error(run("pull", "memory://bucket/other"))
    (folder / "minilm").mkdir()
    (folder / "minilm" / "x").touch()
    assert "other files than a bundle" in error(run("pull", address, "--overwrite"))
    assert run("pull")[0] == 2
