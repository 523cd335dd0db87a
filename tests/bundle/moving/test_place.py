"""Addresses of bundles: what they lead to, and what is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from embedkit.bundle.moving import place
from embedkit.bundle.moving.place import BundlePlace
from embedkit.errors import InputError

pytest.importorskip("fsspec")
pytest.importorskip("huggingface_hub")
pytest.importorskip("aiohttp")


@pytest.mark.parametrize(
    ("address", "of_a", "name"),
    [
        ("memory://bucket/some/bundle", "memory://bucket/some/bundle/a", "bundle"),
        ("memory://bucket/some/bundle/", "memory://bucket/some/bundle/a", "bundle"),
        ("memory://bucket/some/bundle/embedkit.json", "memory://bucket/some/bundle/a", "bundle"),
        ("memory://bucket", "memory://bucket/a", "bucket"),
        ("https://host:80/x y", "https://host:80/x y/a", "x y"),
        ("hf://me/mine", "hf://me/mine/a", "mine"),
        ("hf://me/mine@v2", "hf://me/mine@v2/a", "mine"),
        ("hf://me/mine@v2/deep/er", "hf://me/mine@v2/deep/er/a", "er"),
    ],
)
def test_far_places(address, of_a, name):
    found = BundlePlace(address)
    assert (found.folder, found.of("a"), found.name) == (None, of_a, name)
    assert found.writable is not address.startswith("https")


def test_folders_of_this_machine(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a b").mkdir()
    for address in (
        "a b",
        "a b/",
        tmp_path / "a b",
        f"file://{tmp_path}/a%20b",
        f"FILE://localhost{tmp_path}/a%20b/embedkit.json",
    ):
        found = BundlePlace(address)
        assert found.folder is not None
        assert (found.folder.resolve(), found.name, found.writable) == (tmp_path / "a b", "a b", True)
    assert BundlePlace(".").folder == Path()
    assert BundlePlace("/").folder == Path("/")


def test_hub_addresses():
    assert BundlePlace("hf://me/mine").hub == ("me/mine", None, "")
    assert BundlePlace("hf://me/mine@refs%2Fpr%2F1/x/y").hub == ("me/mine", "refs/pr/1", "x/y")
    assert BundlePlace("memory://me/mine").hub is None


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("ftp://host/x", "begins with one of"),
        ("https://host/x?key=secret", "folder"),
        ("https://host/x#part", "folder"),
        ("https://me:secret@host/x", "environment"),
        ("file://elsewhere/x", "of this machine"),
        (3, "address"),
    ],
)
def test_what_is_no_address_is_refused(address, words):
    with pytest.raises(InputError, match=words) as refused:
        BundlePlace(address)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("address", ["hf://datasets/me/mine", "hf://mine", "hf://me/mine@"])
def test_what_is_no_repository_of_models_is_refused(address):
    with pytest.raises(InputError, match="repository of models"):
        _ = BundlePlace(address).hub


def test_a_place_without_a_name_asks_for_one():
    for address in ("https://host:8080", "memory://bucket/.hidden", "/"):
        with pytest.raises(InputError, match="give its name"):
            _ = BundlePlace(address).name


def test_the_manifest_is_what_is_there_now(tmp_path, monkeypatch):
    found = BundlePlace(tmp_path / "x")
    assert found.manifest() is None
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "embedkit.json").write_bytes(b"12345")
    assert found.manifest() == b"12345"
    monkeypatch.setattr(place, "MOST_MANIFEST", 4)
    with pytest.raises(InputError, match="no manifest"):
        found.manifest()
