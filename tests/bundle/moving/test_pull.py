"""A pull gives the bundle whole or nothing, goes on where it was cut, and trusts no byte."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import threading

import pytest
from filelock import FileLock

import embedkit
from embedkit.bundle.moving import place
from embedkit.bundle.moving import pull as module
from embedkit.errors import BundleError, DiskError, InputError
from embedkit.testing.tiny import tiny_bundle
from helpers.web import web

pytest.importorskip("fsspec")
pytest.importorskip("aiohttp")


@pytest.fixture(autouse=True)
def no_pause(monkeypatch):
    monkeypatch.setattr(module, "_PAUSE_SECONDS", 0.0)


@pytest.fixture
def site(tmp_path):
    tiny_bundle(tmp_path / "site" / "tiny")
    with web(tmp_path / "site") as server:
        yield server


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def left(folder):
    return sorted(path.name for path in folder.iterdir() if path.name.startswith("."))


def test_a_bundle_of_the_web(site, tmp_path):
    given = site.folder / "tiny"
    report = embedkit.pull(f"{site.url}/tiny", tmp_path / "b")
    assert files(tmp_path / "b") == files(given)
    assert left(tmp_path) == []
    size = sum(len(raw) for name, raw in files(given).items() if name != "embedkit.json")
    assert (report.files, report.bytes, report.fetched) == (4, size, size)
    assert report.fingerprint == embedkit.Encoder.load(tmp_path / "b").fingerprint
    assert str(report).startswith(f"{tmp_path / 'b'}: tiny, 4 files of {size:,} bytes")
    assert json.loads(report.to_json())["fetched"] == size


def test_its_folder_is_called_as_it_is_there(site, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert embedkit.pull(f"{site.url}/tiny/").folder == "tiny"
    size = sum(len(raw) for name, raw in files(tmp_path / "tiny").items() if name != "embedkit.json")
    assert embedkit.pull(tmp_path / "tiny", "copy").fetched == size
    assert files(tmp_path / "copy") == files(tmp_path / "tiny")


def test_one_that_is_there_is_made_whole(site, tmp_path):
    address, goal = f"{site.url}/tiny", tmp_path / "b"
    embedkit.pull(address, goal)
    assert embedkit.pull(address, goal).fetched == 0
    whole = files(goal)
    (goal / "golden.npz").unlink()
    (goal / "tokenizer.json").write_bytes(whole["tokenizer.json"][:-1] + b" ")
    assert embedkit.pull(address, goal).fetched == len(whole["golden.npz"]) + len(whole["tokenizer.json"])
    assert files(goal) == whole


def test_another_one_is_replaced_where_that_is_asked_for(site, tmp_path):
    goal = tiny_bundle(tmp_path / "b", seed=5)
    old = files(goal)
    with pytest.raises(BundleError, match="pass --overwrite"):
        embedkit.pull(f"{site.url}/tiny", goal)
    assert files(goal) == old
    new = files(site.folder / "tiny")
    same = [name for name in old if old[name] == new[name]]
    report = embedkit.pull(f"{site.url}/tiny", goal, overwrite=True)
    assert files(goal) == new
    assert same == ["tokenizer.json"]
    assert report.fetched == report.bytes - len(new["tokenizer.json"])
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "x").write_text("mine")
    with pytest.raises(BundleError, match="other files than a bundle"):
        embedkit.pull(f"{site.url}/tiny", tmp_path / "other", overwrite=True)


def test_an_answer_that_is_cut_is_asked_for_again_from_there(site, tmp_path, monkeypatch):
    monkeypatch.setattr(place, "_BLOCK", 2000)
    cuts = iter([None, 100, 0, None, 5, 5])
    site.cut = lambda name: next(cuts, None) if name.endswith("model.fp32.onnx") else None
    report = embedkit.pull(f"{site.url}/tiny", tmp_path / "b")
    assert files(tmp_path / "b") == files(site.folder / "tiny")
    assert report.fetched == report.bytes
    # what had come when an answer was cut, a block or more, was not asked for again
    assert site.sent["tiny/model.fp32.onnx"] < 2 * (site.folder / "tiny" / "model.fp32.onnx").stat().st_size


def test_a_server_that_stays_away_leaves_what_came_and_a_second_pull_goes_on(site, tmp_path):
    size = (site.folder / "tiny" / "model.fp32.onnx").stat().st_size
    site.parts = False  # so that bytes come as they are sent
    site.cut = lambda name: 0 if name.endswith("model.fp32.onnx") else None
    with pytest.raises(DiskError, match="run again"):
        embedkit.pull(f"{site.url}/tiny", tmp_path / "b")
    assert not (tmp_path / "b").exists()
    (work,) = left(tmp_path)
    assert (tmp_path / work / "golden.npz").is_file()
    (tmp_path / work / ".model.fp32.onnx").write_bytes((site.folder / "tiny" / "model.fp32.onnx").read_bytes()[:7000])
    site.parts, site.cut = True, lambda name: None
    report = embedkit.pull(f"{site.url}/tiny", tmp_path / "b")
    golden = (site.folder / "tiny" / "golden.npz").stat().st_size
    assert report.fetched == report.bytes - golden - 7000
    assert size > 7000
    assert left(tmp_path) == []


@pytest.mark.parametrize("parts", [True, False])
def test_what_was_left_of_another_file_is_thrown_away(site, tmp_path, parts):
    site.cut = lambda name: 0 if name.endswith("onnx") else None
    with pytest.raises(DiskError):
        embedkit.pull(f"{site.url}/tiny", tmp_path / "b")
    (work,) = left(tmp_path)
    (tmp_path / work / ".model.fp32.onnx").write_bytes(b"something else")
    (tmp_path / work / ".model.int8.onnx").write_bytes(b"too much " * 9999)
    (tmp_path / work / "golden.npz").write_bytes(b"broken")
    site.parts, site.cut = parts, lambda name: None
    embedkit.pull(f"{site.url}/tiny", tmp_path / "b")
    assert files(tmp_path / "b") == files(site.folder / "tiny")


@pytest.mark.parametrize(
    "change",
    [
        lambda raw: raw[:-1] + bytes([raw[-1] ^ 1]),
        lambda raw: raw[:-1],
        lambda raw: raw + b"x",
        lambda raw: b"",
    ],
)
def test_a_file_that_is_not_the_manifests_is_no_part_of_it(site, tmp_path, change):
    file = site.folder / "tiny" / "model.int8.onnx"
    whole = file.read_bytes()
    file.write_bytes(change(whole))
    told = f"expected {len(whole):,} bytes.*, found {len(change(whole)):,} with"
    with pytest.raises(BundleError, match=f"model.int8.onnx: {told}"):
        embedkit.pull(f"{site.url}/tiny", tmp_path / "b")
    assert not (tmp_path / "b").exists()


def test_what_is_no_bundle_is_told(site, tmp_path):
    goal = tmp_path / "b"
    with pytest.raises(BundleError, match=r"no embedkit\.json there"):
        embedkit.pull(f"{site.url}/nothing", goal)
    (site.folder / "tiny" / "golden.npz").unlink()
    with pytest.raises(BundleError, match=r"golden\.npz: the manifest names"):
        embedkit.pull(f"{site.url}/tiny", goal)
    manifest = site.folder / "tiny" / "embedkit.json"
    manifest.write_bytes(manifest.read_bytes().replace(b"golden.npz", b"../../evil"))
    with pytest.raises(BundleError, match="plain file names"):
        embedkit.pull(f"{site.url}/tiny", goal)
    manifest.write_bytes(b"<html>not found</html>")
    with pytest.raises(BundleError, match="not valid JSON"):
        embedkit.pull(f"{site.url}/tiny", goal)
    with pytest.raises(DiskError, match="127.0.0.1:9"):
        embedkit.pull("http://127.0.0.1:9/tiny", goal)
    with pytest.raises(InputError, match="s3://, gs://"):
        embedkit.pull("ftp://host/tiny", goal)
    assert not goal.exists()


def test_a_disk_without_room_is_told_before_anything_comes(site, tmp_path, monkeypatch):
    size = sum(len(raw) for name, raw in files(site.folder / "tiny").items() if name != "embedkit.json")
    monkeypatch.setattr(module.shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(1, 1, size - 1))
    with pytest.raises(DiskError, match=f"{size:,} bytes are to come, and its disk has {size - 1:,} left"):
        embedkit.pull(f"{site.url}/tiny", tmp_path / "b")
    assert not any(name.endswith("onnx") for name in site.sent)


def test_two_at_once_do_not_mix(site, tmp_path):
    goal = tmp_path / "b"
    site.cut = lambda name: 0 if name.endswith("onnx") else None
    with pytest.raises(DiskError):
        embedkit.pull(f"{site.url}/tiny", goal)
    (work,) = left(tmp_path)
    with FileLock(tmp_path / work / ".lock"), pytest.raises(BundleError, match="another process"):
        embedkit.pull(f"{site.url}/tiny", goal)


def test_one_that_was_killed_goes_on(site, tmp_path):
    """Killed in the middle of a file, with SIGKILL."""
    tail, reached = threading.Event(), threading.Event()

    def cut(name: str) -> int | None:
        if name.endswith("model.int8.onnx"):
            reached.set()
            tail.wait(60)
        return None

    site.cut = cut
    code = f"import embedkit; embedkit.pull({site.url + '/tiny'!r}, {str(tmp_path / 'b')!r})"
    child = subprocess.Popen([sys.executable, "-c", code])
    assert reached.wait(60)
    child.send_signal(signal.SIGKILL)
    child.wait()
    tail.set()
    assert not (tmp_path / "b").exists()
    site.cut = lambda name: None
    report = embedkit.pull(f"{site.url}/tiny", tmp_path / "b")
    assert 0 < report.fetched < report.bytes - 10_000
    assert files(tmp_path / "b") == files(site.folder / "tiny")
    assert left(tmp_path) == []


def test_what_older_pulls_left_is_removed(site, tmp_path):
    (tmp_path / ".b.pulling-0123").mkdir()
    (tmp_path / ".b.pulling-4567").mkdir()
    with FileLock(tmp_path / ".b.pulling-4567" / ".lock"):
        embedkit.pull(f"{site.url}/tiny", tmp_path / "b")
    assert left(tmp_path) == [".b.pulling-4567"]


def test_a_bar_counts_bytes(site, tmp_path, capsys):
    embedkit.pull(f"{site.url}/tiny", tmp_path / "b", progress=True)
    assert "33.2k/33.2k" in capsys.readouterr().err
