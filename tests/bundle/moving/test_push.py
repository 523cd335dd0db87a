"""A push leaves the bundle whole or none, sends what is missing, and replaces another one only where that is asked for."""

from __future__ import annotations

import json
import shutil
from uuid import uuid4

import pytest

import embedkit
from embedkit.bundle.moving import push as module
from embedkit.errors import BundleError, DiskError, InputError
from embedkit.system.files import addresses
from embedkit.testing.tiny import tiny_bundle

fsspec = pytest.importorskip("fsspec")
pytest.importorskip("aiohttp")
JOURNAL = module.JOURNAL


@pytest.fixture
def bundle(tmp_path):
    return tiny_bundle(tmp_path / "tiny")


def of_memory(monkeypatch):
    system = fsspec.filesystem("memory")
    system.store.clear()
    yield system, "memory://bucket/some/tiny"
    system.store.clear()


def of_s3(monkeypatch):
    pytest.importorskip("s3fs")
    server = pytest.importorskip("moto.server").ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()
    system = s3fs.S3FileSystem()
    name = f"bucket-{uuid4()}"  # what one server has others of this process have too
    system.mkdir(name)
    yield system, f"s3://{name}/some/tiny"
    s3fs.S3FileSystem.clear_instance_cache()
    server.stop()


@pytest.fixture(params=[of_memory, of_s3], ids=["memory", "s3"])
def bucket(request, monkeypatch):
    """A system of files, and an address in it."""
    yield from request.param(monkeypatch)


def there(bucket):
    system, address = bucket
    system.invalidate_cache()
    inner = address.partition("://")[2]
    return {path.rpartition("/")[2]: system.cat_file(path) for path in system.find(inner)}


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_there_and_back(bundle, bucket, tmp_path):
    address = bucket[1]
    size = sum(len(raw) for name, raw in files(bundle).items() if name != "embedkit.json")
    report = embedkit.push(bundle, address)
    assert there(bucket) == files(bundle)
    assert (report.files, report.bytes, report.sent) == (4, size, size)
    assert json.loads(report.to_json())["address"] == address
    assert embedkit.push(bundle, address).sent == 0
    shutil.rmtree(bundle)
    assert embedkit.pull(address, tmp_path / "back").fetched == size
    assert files(tmp_path / "back") == there(bucket)


def test_another_one_is_replaced_where_that_is_asked_for(bundle, bucket, tmp_path):
    other = tiny_bundle(tmp_path / "other", seed=5)
    embedkit.push(other, bucket[1])
    with pytest.raises(BundleError, match="pass --overwrite"):
        embedkit.push(bundle, bucket[1])
    assert there(bucket) == files(other)
    bucket[0].pipe_file(f"{bucket[1].partition('://')[2]}/README.md", b"mine")
    report = embedkit.push(bundle, bucket[1], overwrite=True)
    assert there(bucket) == {**files(bundle), "README.md": b"mine"}
    assert report.sent == report.bytes - (bundle / "tokenizer.json").stat().st_size, "the tokenizer is the same"


def test_files_that_the_older_one_had_alone_go(bundle, tmp_path, monkeypatch):
    system, address = next(of_memory(monkeypatch))
    old = tiny_bundle(tmp_path / "old", seed=5)
    embedkit.push(old, address)
    manifest = json.loads(system.cat_file("/bucket/some/tiny/embedkit.json"))
    entry = manifest["files"]["model.int8.onnx"]
    manifest["files"]["extra.bin"] = entry
    system.pipe_file("/bucket/some/tiny/embedkit.json", json.dumps(manifest).encode())
    system.pipe_file("/bucket/some/tiny/extra.bin", b"x")
    embedkit.push(bundle, address, overwrite=True)
    assert there((system, address)) == files(bundle)


def test_one_that_was_cut_goes_on(bundle, bucket, monkeypatch, tmp_path):
    """Cut at every step once: what is there is never a bundle with other files than its manifest says."""
    old = tiny_bundle(tmp_path / "old", seed=5)
    steps = 0
    while True:
        embedkit.push(old, bucket[1], overwrite=True)
        left = steps

        def cut(name):
            real = getattr(addresses, name)

            def act(*given):
                nonlocal left
                if left == 0:
                    raise OSError("cut")
                left -= 1
                return real(*given)

            return act

        with monkeypatch.context() as patched:
            for name in ("put_far", "write_far", "remove_far"):
                patched.setattr(addresses, name, cut(name))
            try:
                embedkit.push(bundle, bucket[1], overwrite=True)
                break
            except DiskError:
                pass
        found = there(bucket)
        if "embedkit.json" in found:
            manifest = json.loads(found["embedkit.json"])
            (tmp_path / "found").mkdir()
            for name in (*manifest["files"], "embedkit.json"):
                (tmp_path / "found" / name).write_bytes(found[name])
            embedkit.Bundle.open(tmp_path / "found").verify_files()
            shutil.rmtree(tmp_path / "found")
        report = embedkit.push(bundle, bucket[1], overwrite=True)
        assert there(bucket) == files(bundle)
        assert embedkit.push(bundle, bucket[1]).sent == 0
        steps += 1
        if steps > 6:
            assert report.sent < report.bytes - 8000, "what was there was not sent again"
    assert steps == 10


def test_a_journal_of_nonsense_is_as_none(bundle, monkeypatch):
    system, address = next(of_memory(monkeypatch))
    system.pipe_file(f"/bucket/some/tiny/{JOURNAL}", b"[nonsense")
    system.pipe_file("/bucket/some/tiny/golden.npz", b"other")
    embedkit.push(bundle, address)
    assert there((system, address)) == files(bundle)


def test_folders(bundle, tmp_path):
    goal = tmp_path / "deep" / "copy"
    size = sum(len(raw) for name, raw in files(bundle).items() if name != "embedkit.json")
    assert embedkit.push(bundle, goal).sent == size
    assert files(goal) == files(bundle)
    assert embedkit.push(bundle, f"file://{goal}").sent == 0
    (goal / "golden.npz").unlink()
    assert embedkit.push(bundle, goal).sent == size
    assert files(goal) == files(bundle)
    other = tiny_bundle(tmp_path / "other", seed=5)
    with pytest.raises(BundleError, match="pass --overwrite"):
        embedkit.push(other, goal)
    embedkit.push(other, goal, overwrite=True)
    assert files(goal) == files(other)


def test_what_cannot_be_pushed(bundle, tmp_path):
    for address in ("https://host/x", "HTTP://host/x"):
        with pytest.raises(InputError, match="not written"):
            embedkit.push(bundle, address)
    with pytest.raises(InputError, match="begins with one of"):
        embedkit.push(bundle, "ftp://host/x")
    (bundle / "golden.npz").write_bytes(b"broken")
    with pytest.raises(BundleError, match=r"golden\.npz"):
        embedkit.push(bundle, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()
    with pytest.raises(BundleError):
        embedkit.push(tmp_path / "nothing", tmp_path / "copy")


def test_a_bar_counts_bytes(bundle, monkeypatch, capsys):
    _, address = next(of_memory(monkeypatch))
    embedkit.push(bundle, address, progress=True)
    assert "33.2k/33.2k" in capsys.readouterr().err
