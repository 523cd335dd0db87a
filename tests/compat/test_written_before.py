"""What earlier versions wrote is read as they wrote it: bundles, collections, and the other files."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import embedkit
from compat import observed

CLIENTS = {
    "chroma": "chromadb",
    "lancedb": "lancedb",
    "milvus": "milvus_lite",
    "qdrant": "qdrant_client",
    "qdrant-edge": "qdrant_edge",
    "sqlite-vec": "sqlite_vec",
}
NEAR = 1e-6
"""How far a number may be from the one that was kept where this machine computes otherwise by itself."""


def parts(kind: str, suffix: str) -> list[Any]:
    """What there is of a kind, each with its version."""
    return [
        pytest.param(version, path.name.removesuffix(suffix), id=f"{version}-{path.name.removesuffix(suffix)}")
        for version in observed.VERSIONS
        for path in sorted((observed.DATA / version / kind).glob(f"*{suffix}"))
    ]


def kept_arrays(path: Path) -> dict[str, Any]:
    with np.load(path, allow_pickle=False) as data:
        return {name: data[name] for name in data.files}


def text_of(value: Any) -> str:
    """Values as JSON, which tells 1 from 1.0 and True, and in which NaN equals itself."""
    return json.dumps(observed.plain(value), sort_keys=True, ensure_ascii=False)


bundles = pytest.mark.parametrize(("version", "name"), parts("bundles", ".tar.xz"))
stores = pytest.mark.parametrize(("version", "scheme"), parts("stores", ".tar.xz"))
versions = pytest.mark.parametrize("version", observed.VERSIONS)


# Bundles.


@bundles
def test_a_bundle_is_what_it_was(version: str, name: str, tmp_path: Path) -> None:
    kept = observed.DATA / version / "bundles"
    told = observed.read_json(kept / f"{name}.json")
    folder = observed.unpack(kept / f"{name}.tar.xz", tmp_path / "bundle")
    assert hashlib.sha256((folder / "embedkit.json").read_bytes()).hexdigest() == told["manifest_sha256"]
    found = observed.facts(folder)
    assert {each: found[each] for each in found} == {each: told[each] for each in found}
    report = embedkit.verify(folder)
    assert report.passed, str(report)
    assert report.fingerprint == told["fingerprint"]
    encoder = observed.load(folder)
    for role, items in told["refused"].items():
        for item in items:
            with pytest.raises(embedkit.InputError):
                encoder.encode_outputs([item], role=role)


@bundles
def test_a_bundle_gives_the_same_vectors(version: str, name: str, tmp_path: Path) -> None:
    """The same bytes, if onnxruntime alone computes on this machine the bytes that it computed then: nothing but embedkit
    can have changed them. Else numbers as near as those of onnxruntime alone are."""
    kept = observed.DATA / version / "bundles"
    told = observed.read_json(kept / f"{name}.json")
    folder = observed.unpack(kept / f"{name}.tar.xz", tmp_path / "bundle")
    found, expected = observed.encoded(folder, told["items"]), kept_arrays(kept / f"{name}.npz")
    alone, alone_then = observed.computed(folder), kept_arrays(kept / f"{name}.computed.npz")
    if not observed.differing(alone, alone_then):
        assert observed.differing(found, expected) == []
        return
    limit = max(NEAR, 4 * observed.farthest(alone, alone_then))
    assert observed.farthest(*map(numbers, (found, expected))) <= limit


def numbers(given: Mapping[str, Any]) -> dict[str, Any]:
    """Without packed bits, which turn where a number is near 0, and without the indices of sparse vectors, of which small
    numbers come and go."""
    left_out = {name.rpartition(".")[0] for name in given if name.endswith(".indices")}
    return {
        name: value
        for name, value in given.items()
        if not name.endswith("/ubinary") and name.rpartition(".")[0] not in left_out
    }


@versions
def test_the_command_verifies(version: str, tmp_path: Path) -> None:
    folder = observed.unpack(observed.DATA / version / "bundles" / "exported.tar.xz", tmp_path / "bundle")
    done = subprocess.run(
        [sys.executable, "-m", "embedkit", "verify", str(folder)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


# Collections.


@stores
def test_a_collection_is_read_found_and_left_alone(
    version: str, scheme: str, entry_points: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip(CLIENTS[scheme])
    kept = observed.DATA / version / "stores"
    told = observed.read_json(kept / f"{scheme}.json.xz")
    given = observed.read_json(kept / "rows.json")
    bundle = observed.unpack(observed.DATA / version / "bundles" / f"{given['bundle']}.tar.xz", tmp_path / "bundle")
    encoder = observed.load(bundle)
    monkeypatch.chdir(observed.unpack(kept / f"{scheme}.tar.xz", tmp_path / "place"))
    with embedkit.open_store(f"{scheme}:index") as store:
        assert store.names() == sorted(told)
        for name, expected in told.items():
            as_kept(store, name, expected)
            found_again(observed.found(store, encoder, name, given), expected["found"])
        for name, expected in told.items():
            rows = store.open(name)
            ids = [row["id"] for row in expected["rows"]]
            assert rows.hashes(ids) == {row["id"]: row["hash"] for row in expected["rows"]}
            for report in observed.ingest(given, encoder, store, name, metric=rows.info.metric):
                assert (report.written, report.encoded, report.removed, report.dead) == (0, 0, 0, 0)
                assert report.unchanged == report.read > 0
            as_kept(store, name, expected)
        written_on(store, encoder, given, told)
    with embedkit.open_store(f"{scheme}:index") as store:
        assert store.names() == sorted(told)


def as_kept(store: Any, name: str, expected: Mapping[str, Any]) -> None:
    """Info, ids, texts, metadata, hashes and the bytes of vectors."""
    rows = store.open(name)
    assert observed.info(rows) == expected["info"]
    assert text_of(observed.everything(rows)) == text_of(expected["rows"])


def found_again(found: list[dict[str, Any]], expected: list[dict[str, Any]]) -> None:
    """The same rows in the same order, but that rows of equal scores may change places; and the same scores."""
    assert len(found) == len(expected)
    for now, then in zip(found, expected, strict=True):
        assert (now["filter"], now["hybrid"]) == (then["filter"], then["hybrid"])
        for hits, before in zip(now["hits"], then["hits"], strict=True):
            where = f"{now['filter']!r} {now['hybrid']}"
            assert [hit["score"] for hit in hits] == pytest.approx([hit["score"] for hit in before], abs=1e-5), where
            last = min((hit["score"] for hit in before), default=0.0) + 2e-5
            sure = [{hit["id"] for hit in each if hit["score"] > last} for each in (hits, before)]
            assert sure[0] == sure[1], where
            by_id = {hit["id"]: hit for hit in before}
            for hit in hits:
                if hit["id"] in by_id:
                    assert hit["parts"] == pytest.approx(by_id[hit["id"]]["parts"], abs=1e-5), where
                    assert hit["score"] == pytest.approx(by_id[hit["id"]]["score"], abs=1e-5), where


def written_on(store: Any, encoder: Any, given: Mapping[str, Any], told: Mapping[str, Any]) -> None:
    """One row changed, in each collection: that row is written, and all others are as they were."""
    first, *rest = observed.documents(given["plain"])
    changed = embedkit.Document(first.id, "another text", {**first.metadata, "new": True})
    for name, expected in told.items():
        metric = expected["info"]["metric"]
        report = embedkit.ingest([changed, *rest], encoder, store, collection=name, metric=metric)
        assert (report.written, report.unchanged) == (1, len(rest))
        now = {row["id"]: row for row in observed.everything(store.open(name))}
        row = now.pop(first.id)
        assert (row["text"], row["metadata"]["new"]) == ("another text", True)
        others = [row for row in expected["rows"] if row["id"] != first.id]
        assert text_of([now[row["id"]] for row in others]) == text_of(others)
        assert len(now) == len(others)


# Other files.


@pytest.fixture(params=observed.VERSIONS)
def files(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Any]:
    """The folder of the other files, which is the working folder, and what is known of them."""
    kept = observed.DATA / request.param / "files"
    folder = observed.unpack(kept / "files.tar.xz", tmp_path / "files")
    monkeypatch.chdir(folder)
    told = observed.read_json(kept / "files.json")
    return folder, {**told, "version": request.param}


@pytest.fixture
def encoder(files: tuple[Path, Any], tmp_path: Path) -> embedkit.Encoder:
    archive = observed.DATA / files[1]["version"] / "bundles" / f"{files[1]['bundle']}.tar.xz"
    return observed.load(observed.unpack(archive, tmp_path / "bundle"))


def test_lexical_indexes(
    files: tuple[Path, Any], entry_points: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("bm25s")
    pytest.importorskip("sqlite_vec")
    folder, told = files
    found = observed.words(folder, told["questions"])
    assert found.keys() == told["words"].keys()
    for name, expected in told["words"].items():
        for key in ("count", "language", "stopwords"):
            assert found[name][key] == expected[key]
        for now, then in zip(found[name]["found"], expected["found"], strict=True):
            assert [row_id for row_id, _ in now] == [row_id for row_id, _ in then]
            assert [score for _, score in now] == pytest.approx([score for _, score in then], abs=1e-5)
    archive = observed.DATA / told["version"] / "stores" / f"{told['store']}.tar.xz"
    monkeypatch.chdir(observed.unpack(archive, tmp_path / "place"))
    with embedkit.open_store(f"{told['store']}:index") as store:
        for name in told["words"]:
            embedkit.LexicalIndex.load(folder / "words" / name).require_current(store.open(told["collection"]))


def test_saved_vectors_and_ranges(files: tuple[Path, Any]) -> None:
    folder, told = files
    assert observed.differing(observed.quantized(folder, told["vectors"]), told["quantized"]) == []
    found: dict[str, Any] = {}
    for kind in ("sparse", "multivector"):
        found |= observed.arrays(observed.saved(folder, kind), kind)
    assert observed.differing(found, told["saved"]) == []


def test_what_is_read_of_files(files: tuple[Path, Any], encoder: embedkit.Encoder) -> None:
    pytest.importorskip("selectolax")
    pytest.importorskip("yaml")
    folder, told = files
    found = observed.read(folder, encoder)
    for key in ("read", "chunks", "skipped"):
        assert text_of(found[key]) == text_of(told[key])


def test_dead_letters(files: tuple[Path, Any], encoder: embedkit.Encoder, entry_points: None) -> None:
    folder, told = files
    before = [json.loads(line) for line in (folder / "bad.dead.jsonl").read_text(encoding="utf-8").splitlines()]
    observed.bury(encoder, folder / "again.dead.jsonl")
    now = [json.loads(line) for line in (folder / "again.dead.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [{**letter, "reason": ""} for letter in now] == [{**letter, "reason": ""} for letter in before]
    found = observed.retried(encoder, folder / "bad.dead.jsonl")
    assert text_of(found) == text_of(told["retried"])
