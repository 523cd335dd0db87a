"""``embedkit push``: a bundle to an address."""

from __future__ import annotations

import json

import pytest

from embedkit.testing.tiny import tiny_bundle
from helpers.commands import error

fsspec = pytest.importorskip("fsspec")
pytest.importorskip("aiohttp")


@pytest.fixture(autouse=True)
def memory():
    fsspec.filesystem("memory").store.clear()
    yield
    fsspec.filesystem("memory").store.clear()


def test_a_bundle_is_pushed(run, bundle, folder):
    code, out, _ = run("push", bundle, "memory://bucket/b", "--json")
    assert code == 0
    assert json.loads(out)["sent"] == json.loads(out)["bytes"]
    assert run("push", bundle, "memory://bucket/b")[1].endswith("; 0 bytes sent\n")
    other = tiny_bundle(folder / "other", seed=5)
    assert "pass --overwrite" in error(run("push", other, "memory://bucket/b"))
    assert run("push", other, "memory://bucket/b", "--overwrite", "--quiet") == (0, "", "")
    assert "not written" in error(run("push", other, "https://host/b"))
    assert run("push", other)[0] == 2
