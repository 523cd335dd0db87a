"""What a version gives, told by its public names alone: `make.py` writes it down, and the tests compare with it."""

from __future__ import annotations

import base64
import io
import json
import lzma
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import embedkit

DATA = Path(__file__).parent / "data"
VERSIONS = sorted(path.name for path in DATA.iterdir()) if DATA.is_dir() else []
Arrays = dict[str, npt.NDArray[Any]]

_SHAPES = ((1, 3), (2, 7), (5, 24), (3, 2))
"""Texts and tokens of what a graph is given by itself: as few, and as many, as the texts have."""


# Archives: of the same files the same bytes.


def pack(folder: Path, archive: Path) -> None:
    """The files of ``folder`` as a .tar.xz; times and owners are left out."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        for path in sorted(folder.rglob("*")):
            info = tar.gettarinfo(path, str(path.relative_to(folder)))
            info.mtime, info.uid, info.gid, info.uname, info.gname = 0, 0, 0, "", ""
            if path.is_dir():
                tar.addfile(info)
            else:
                with path.open("rb") as file:
                    tar.addfile(info, file)
    archive.parent.mkdir(parents=True, exist_ok=True)
    archive.write_bytes(lzma.compress(raw.getvalue(), preset=9 | lzma.PRESET_EXTREME))


def unpack(archive: Path, folder: Path) -> Path:
    """The files of an archive in ``folder``, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(archive, mode="r:xz") as tar:
        tar.extractall(folder, filter="data")
    return folder


# JSON that keeps what metadata hold, in a form that no version of embedkit changes.


def plain(value: Any) -> Any:
    """A value as JSON has it; times and arrays in a mapping with one key that names them."""
    if isinstance(value, datetime):
        return {"datetime:": value.isoformat()}
    if isinstance(value, date):
        return {"date:": value.isoformat()}
    if isinstance(value, np.ndarray):
        kept = base64.b64encode(np.ascontiguousarray(value).tobytes()).decode()
        return {"array:": kept, "dtype": str(value.dtype), "shape": list(value.shape)}
    if isinstance(value, np.generic):
        return plain(np.asarray(value))
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return value


def restored(value: Any) -> Any:
    """The inverse of `plain`."""
    if isinstance(value, list):
        return [restored(each) for each in value]
    if not isinstance(value, dict):
        return value
    if "datetime:" in value:
        return datetime.fromisoformat(value["datetime:"])
    if "date:" in value:
        return date.fromisoformat(value["date:"])
    if "array:" in value:
        kept = np.frombuffer(base64.b64decode(value["array:"]), value["dtype"])
        return kept.reshape(value["shape"])
    return {key: restored(each) for key, each in value.items()}


def write_json(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(plain(value), ensure_ascii=False, indent=1, allow_nan=True) + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    return restored(json.loads(path.read_text(encoding="utf-8")))


# Bundles.


def variants(folder: Path) -> list[str]:
    """The variants that all of a bundle's graphs have."""
    towers = json.loads((folder / "embedkit.json").read_bytes())["towers"].values()
    return list(next(tower["graph"]["variants"] for tower in towers if "graph" in tower))


def load(folder: Path, variant: str = "fp32") -> embedkit.Encoder:
    """The same engine and number of threads everywhere: neither is what is compared."""
    return embedkit.Encoder.load(folder, variant=variant, engine="onnxruntime", threads=1, on_truncate="ignore")


def facts(folder: Path) -> dict[str, Any]:
    """What a program asks of a bundle before it encodes."""
    encoder, bundle = load(folder), embedkit.Bundle.open(folder)
    return {
        "fingerprint": bundle.manifest.fingerprint,
        "encoder_fingerprint": encoder.fingerprint,
        "dim": encoder.dim,
        "kind": encoder.kind,
        "metric": encoder.metric,
        "max_tokens": encoder.max_tokens,
        "roles": encoder.roles,
        "fields": {role: encoder.fields(role) for role in encoder.roles},
        "outputs": {
            role: {
                name: {"kind": output.kind, "dim": output.dim, "matryoshka": output.matryoshka}
                for name, output in encoder.outputs(role).items()
            }
            for role in encoder.roles
        },
    }


def arrays(values: Any, name: str) -> Arrays:
    """Values of any kind as arrays."""
    if isinstance(values, embedkit.SparseVectors):
        return {f"{name}.{part}": getattr(values, part) for part in ("offsets", "indices", "values")}
    if isinstance(values, embedkit.MultiVectors):
        return {f"{name}.{part}": getattr(values, part) for part in ("offsets", "values")}
    return {name: np.asarray(values)}


def encoded(folder: Path, items: Mapping[str, Sequence[Any]]) -> Arrays:
    """What the items of each role become: every output of every variant, every size and precision, and by the heads."""
    found: Arrays = {}
    for variant in variants(folder):
        encoder = load(folder, variant)
        for role, given in items.items():
            texts = list(given)
            for name, values in encoder.encode_outputs(texts, role=role).items():
                found |= arrays(values, f"{variant}/{role}/{name}")
            output = next(iter(encoder.outputs(role).values()))
            for size in output.matryoshka:
                found |= arrays(encoder.encode(texts, role=role, dim=size), f"{variant}/{role}/first {size}")
            if output.kind == "dense":
                packed = encoder.encode(texts, role=role, precision="ubinary")
                found |= arrays(packed, f"{variant}/{role}/ubinary")
        found |= _judged(encoder, folder, variant, items)
    return found


def _judged(encoder: embedkit.Encoder, folder: Path, variant: str, items: Mapping[str, Sequence[Any]]) -> Arrays:
    """Scores of pairs and probabilities of classes, where the bundle has a head for them."""
    manifest = json.loads((folder / "embedkit.json").read_bytes())
    found: Arrays = {}
    if any(scorer["fn"] == "pair" for scorer in manifest["scorers"].values()):
        vectors = np.asarray(encoder.encode(list(items["document"]), role="document"))
        found |= arrays(embedkit.Scorer.load(folder).score(vectors, vectors[::-1].copy()), f"{variant}/pair")
    for name, output in encoder.outputs().items():
        if output.kind == "logits" and output.dim > 1 and "default" in items:
            classifier = embedkit.Classifier(encoder)
            found |= arrays(classifier.predict_proba(list(items["default"])), f"{variant}/probabilities of {name}")
    if "pairs" in items:
        pairs = [(str(left), str(right)) for left, right in items["pairs"]]
        found |= arrays(embedkit.Reranker(encoder).score(pairs), f"{variant}/reranked")
    return found


def computed(folder: Path) -> Arrays:
    """What onnxruntime alone makes of fixed numbers in each of a bundle's graphs: it tells whether this machine computes
    what another one did, with nothing of embedkit in between."""
    import onnxruntime

    manifest = json.loads((folder / "embedkit.json").read_bytes())
    found: Arrays = {}
    for role, tower in manifest["towers"].items():
        for variant, kept in tower.get("graph", {"variants": {}})["variants"].items():
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = 1
            session = onnxruntime.InferenceSession(folder / kept["file"], options, providers=["CPUExecutionProvider"])
            for rows, tokens in _SHAPES:
                feed = {each["name"]: _fed(each, rows, tokens) for each in tower["inputs"]}
                names = [output.name for output in session.get_outputs()]
                for name, value in zip(names, session.run(names, feed), strict=True):
                    found[f"{variant}/{role}/{name}/{rows}x{tokens}"] = np.asarray(value)
    return found


def _fed(given: Mapping[str, Any], rows: int, tokens: int) -> npt.NDArray[Any]:
    dtype = np.dtype(given["dtype"])
    if given["source"] == "choice":
        return np.zeros(rows, dtype)
    if given["source"] == "ids":
        return (np.arange(rows * tokens).reshape(rows, tokens) % 53 + 3).astype(dtype)
    return np.full((rows, tokens), given["source"] != "types", dtype)


def farthest(found: Mapping[str, Any], expected: Mapping[str, Any]) -> float:
    """The largest difference between arrays of equal names and shapes, relative to the largest number where that is over
    1; infinite where an array is missing or has another shape or type."""
    if found.keys() != expected.keys():
        return float("inf")
    largest = 0.0
    for name, wanted in expected.items():
        given = found[name]
        if given.shape != wanted.shape or given.dtype != wanted.dtype:
            return float("inf")
        if wanted.size:
            scale = max(1.0, float(np.abs(wanted.astype(np.float64)).max()))
            apart = np.abs(given.astype(np.float64) - wanted.astype(np.float64))
            largest = max(largest, float(apart.max()) / scale)
    return largest


def differing(found: Mapping[str, Any], expected: Mapping[str, Any]) -> list[str]:
    """The names of the arrays that are not the same bytes, type and shape."""
    names = sorted(found.keys() | expected.keys())
    return [
        name for name in names if name not in found or name not in expected or not _same(found[name], expected[name])
    ]


def _same(one: npt.NDArray[Any], other: npt.NDArray[Any]) -> bool:
    return one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()


# Collections.

_KINDS = ("dense", "sparse", "multivector")


def everything(rows: Any) -> list[dict[str, Any]]:
    """All rows of a collection by id, with all their vectors."""
    ids: list[str] = []
    cursor: str | None = None
    while True:
        page = rows.scan(cursor=cursor, limit=5)
        ids += [record.id for record in page.records]
        cursor = page.cursor
        if cursor is None:
            break
    assert len(ids) == len(set(ids)) == rows.count()
    return [_row(record) for record in rows.get(sorted(ids), with_vectors=True)]


def _row(record: embedkit.Record) -> dict[str, Any]:
    found: dict[str, Any] = {"id": record.id, "text": record.text, "metadata": record.metadata, "hash": record.hash}
    if record.vector is not None:
        found["vector"] = record.vector
    if record.sparse is not None:
        found |= arrays(record.sparse, "sparse")
    if record.multivector is not None:
        found["multivector"] = record.multivector
    return found


def info(rows: Any) -> dict[str, Any]:
    """What the collection was made for."""
    return asdict(rows.info)


def hits(found: Sequence[embedkit.Hit]) -> list[dict[str, Any]]:
    """Hits without their texts, which are compared elsewhere."""
    return [{"id": hit.id, "score": hit.score, "parts": dict(hit.parts)} for hit in found]
