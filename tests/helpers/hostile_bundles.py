"""Bundles by a stranger: whole in every hash, and wrong in one place. As a program it looks for exceptions of other kinds:

python -m helpers.hostile_bundles KIND FIRST_SEED COUNT
"""

from __future__ import annotations

import contextlib
import json
import random
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from click.testing import CliRunner

import embedkit
from embedkit import BundleError, DeviceError, EmbedkitError, Encoder
from embedkit.bundle import fingerprint, read_manifest, sha256_file
from embedkit.cli.entry import app
from embedkit.runtime.verification import verify
from embedkit.testing.tiny import tiny_bundle
from helpers import small_bundles
from helpers.manifests import edit
from helpers.mutations import changed_bytes, changed_json

KINDS = ("manifest", "text of the manifest", "tokenizer", "arrays", "graph")


def bases(folder: Path) -> list[Path]:
    """One bundle of each sort, of a few kilobytes."""
    eighths = small_bundles.eighths
    tiny_bundle(folder / "tiny")
    tiny_bundle(folder / "kinds", kinds=("dense", "sparse", "multivector"), prefixes={"query": "q: "})
    small_bundles.with_logits(folder / "logits", eighths(8, 3), labels=["a", "b", "c"])
    small_bundles.with_logits(folder / "pair", eighths(8, 1), activation="sigmoid", pair=True)
    small_bundles.with_pair_head(folder / "head", eighths(16, 1))
    small_bundles.of_ids(folder / "ids", (["a", "b"], eighths(2, 8)))
    return sorted(folder.iterdir())


def renew(folder: Path, change: Callable[[dict[str, Any]], object] = lambda manifest: None) -> None:
    """Change the manifest and make its hashes and its fingerprint right again, as far as it is a manifest still."""

    def whole(manifest: dict[str, Any]) -> None:
        change(manifest)
        files = manifest.get("files")
        for name, entry in files.items() if isinstance(files, dict) else ():
            with contextlib.suppress(OSError, ValueError, TypeError):
                entry["sha256"], entry["bytes"] = sha256_file(folder / name), (folder / name).stat().st_size
        with contextlib.suppress(BundleError):
            manifest["fingerprint"] = fingerprint(read_manifest(json.dumps(manifest).encode(), "manifest"))

    edit(folder, whole)


def change(folder: Path, kind: str, rng: random.Random) -> None:
    """Change one file of a kind."""
    manifest = folder / "embedkit.json"
    if kind == "manifest":
        given = changed_json(json.loads(manifest.read_text()), rng)
        manifest.write_text(json.dumps(given))
        if isinstance(given, dict):
            renew(folder)
        return
    if kind == "text of the manifest":
        manifest.write_bytes(changed_bytes(manifest.read_bytes(), rng))
        return
    suffix = {"tokenizer": "tokenizer.json", "arrays": "*.npz", "graph": "*.onnx"}[kind]
    for file in rng.sample(found := sorted(folder.glob(suffix)), min(1, len(found))):
        if kind == "arrays" and rng.random() < 0.7:
            _change_arrays(file, rng)
        elif kind == "tokenizer" and rng.random() < 0.5:
            file.write_text(json.dumps(changed_json(json.loads(file.read_text()), rng)))
        else:
            file.write_bytes(changed_bytes(file.read_bytes(), rng))
    renew(folder)


def _change_arrays(file: Path, rng: random.Random) -> None:
    with np.load(file) as data:
        arrays: dict[str, Any] = dict(data)
    name = rng.choice(list(arrays))
    given = arrays.pop(name)
    text = given.dtype.kind == "U"
    ways: list[Callable[[], Any]] = [
        lambda: given[: rng.randrange(len(given))],
        lambda: np.array(rng.choice([1, "x", [], [[]], np.nan, np.zeros((2, 3, 4)), -1])),
        lambda: np.arange(len(given)) if text else given.astype(rng.choice(["U3", "f8", "f2", "i8"])),
        lambda: given[None],
        lambda: given[..., :1],
        lambda: given if text else given * np.nan,
    ]
    if rng.randrange(len(ways) + 1):
        arrays[name] = rng.choice(ways)()
    np.savez(file, **arrays)


def uses(folder: Path) -> Iterator[tuple[str, Callable[[], object], type[Exception]]]:
    """Every way into a bundle, and the errors that may come of it."""
    path = str(folder)

    def command(*args: str) -> Callable[[], object]:
        return lambda: CliRunner().invoke(app, [*args, path], catch_exceptions=False, standalone_mode=False)

    yield "load", lambda: Encoder.load(path, threads=1), BundleError
    yield "load fp32", lambda: Encoder.load(path, variant="fp32", engine="onnxruntime", threads=1), BundleError
    yield "inspect", command("inspect"), BundleError
    yield "inspect --json", command("inspect", "--json"), BundleError
    yield "verify", lambda: verify(path), BundleError
    yield "Scorer", lambda: embedkit.Scorer.load(path), EmbedkitError
    yield "Reranker", lambda: embedkit.Reranker.load(path).score([("a", "b")]), EmbedkitError
    yield "Classifier", lambda: embedkit.Classifier.load(path).predict_proba(["a", "b"]), EmbedkitError
    yield "encode", lambda: encode_all(path), EmbedkitError


def encode_all(path: str) -> None:
    encoder = Encoder.load(path, variant="auto", engine="onnxruntime", threads=1, on_truncate="ignore")
    for role in encoder.roles:
        for output in encoder.outputs(role):
            texts = ["a", "some text", "x " * 3000] if encoder.bundle.manifest.schema == 1 else ["1 2", "1 2 3"]
            encoder.encode(encoder.fill(texts, role), role=role, output=output)


def wrong(folder: Path) -> Iterator[str]:
    """What the uses of a bundle raise that they should not."""
    return filter(None, (_wrong(*each) for each in uses(folder)))


def _wrong(name: str, use: Callable[[], object], allowed: type[Exception]) -> str:
    try:
        use()
    except (allowed, DeviceError):
        return ""
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # the end of a library's code by a panic is none of Exception
        return f"{name}: {type(error).__name__}: {error!s:.200}"
    return ""


def search(folder: Path, kind: str, first: int, count: int) -> list[str]:
    """What is wrong with bundles changed by ``count`` seeds."""
    found = []
    given = bases(folder / "bases")
    for seed in range(first, first + count):
        rng = random.Random(f"{kind} {seed}")
        base = rng.choice(given)
        shutil.rmtree(folder / "bundle", ignore_errors=True)
        shutil.copytree(base, folder / "bundle")
        change(folder / "bundle", kind, rng)
        found += [f"{kind} {seed} ({base.name}): {message}" for message in wrong(folder / "bundle")]
    return found


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        Path(place, "bases").mkdir()
        print("\n".join(search(Path(place), sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))))
