"""Bundles of a hub: a stand-in on this machine, and the hub's own client in a process that takes it for the hub."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from embedkit.testing.tiny import tiny_bundle
from helpers.hub_stand_in import hub

pytest.importorskip("huggingface_hub")
pytest.importorskip("fsspec")


@pytest.fixture
def server():
    with hub() as found:
        yield found


@pytest.fixture
def run(server, tmp_path):
    def call(*arguments):
        env = {**os.environ, "HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}", "HF_TOKEN": "hf_x"}
        env |= {"HF_HOME": str(tmp_path / "home"), "NO_PROXY": "127.0.0.1"}
        command = [sys.executable, "-m", "embedkit", *map(str, arguments)]
        return subprocess.run(command, env=env, capture_output=True, text=True, timeout=120)

    return call


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_one_commit_there_and_back(server, run, tmp_path):
    bundle = tiny_bundle(tmp_path / "tiny")
    size = sum(len(raw) for name, raw in files(bundle).items() if name != "embedkit.json")
    done = run("push", bundle, "hf://me/mine", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["sent"] == size
    assert server.files == {"me/mine": files(bundle)}
    assert server.private == {"me/mine": True}
    assert [sorted(names) for names in server.commits] == [sorted(files(bundle))]
    assert json.loads(run("push", bundle, "hf://me/mine", "--json").stdout)["sent"] == 0
    done = run("pull", "hf://me/mine", tmp_path / "back", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["fetched"] == size
    assert files(tmp_path / "back") == files(bundle)


def test_another_one_is_replaced_in_one_commit(server, run, tmp_path):
    bundle, other = tiny_bundle(tmp_path / "tiny"), tiny_bundle(tmp_path / "other", seed=5)
    manifest = json.loads((other / "embedkit.json").read_bytes())
    manifest["files"]["extra.bin"] = manifest["files"]["golden.npz"]
    server.files["me/mine"] = {f"deep/{name}": raw for name, raw in files(other).items()}
    server.files["me/mine"] |= {
        "deep/embedkit.json": json.dumps(manifest).encode(),
        "deep/extra.bin": b"",
        "README.md": b"",
    }
    done = run("push", bundle, "hf://me/mine@main/deep")
    assert (done.returncode, server.commits) == (1, [])
    assert "pass --overwrite" in done.stderr
    assert run("push", bundle, "hf://me/mine@main/deep", "--overwrite", "--quiet").returncode == 0
    assert server.files["me/mine"] == {"README.md": b"", **{f"deep/{name}": raw for name, raw in files(bundle).items()}}
    assert "-deep/extra.bin" in server.commits[0]
    assert len(server.commits) == 1


def test_what_is_not_there(run, tmp_path):
    done = run("pull", "hf://me/nothing", tmp_path / "b")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert "no embedkit.json there" in done.stderr
    assert "credentials" in done.stderr
