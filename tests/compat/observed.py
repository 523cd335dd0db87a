"""What a version gives, told by its public names alone: `make.py` writes it down, and the tests compare with it."""

from __future__ import annotations

import base64
import io
import json
import lzma
import os
import tarfile
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import embedkit

DATA = Path(__file__).parent / "data"
"""A folder for each version that wrote some."""
VERSIONS = sorted(path.name for path in DATA.iterdir()) if DATA.is_dir() else []
Arrays = dict[str, npt.NDArray[Any]]

_SHAPES = ((1, 3), (2, 7), (5, 24), (3, 2))
"""Texts and tokens of what a graph is given by itself: as few, and as many, as the texts have."""


def here() -> Path:
    """Where this version's data are."""
    return DATA / embedkit.__version__


# Archives: of the same files the same bytes.


_SIZE = "embedkit.size"
"""The size of a file of an archive that ends with zeros, which are left out: some databases reserve much."""
_MANY = 1 << 12


def pack(folder: Path, archive: Path) -> None:
    """The files of ``folder`` as a .tar.xz; times and owners are left out."""
    archive.parent.mkdir(parents=True, exist_ok=True)
    with (
        lzma.open(archive, "wb", preset=9 | lzma.PRESET_EXTREME) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        for path in sorted(folder.rglob("*")):
            info = tar.gettarinfo(path, str(path.relative_to(folder)))
            info.mtime, info.uid, info.gid, info.uname, info.gname = 0, 0, 0, "", ""
            content = path.read_bytes() if path.is_file() else b""
            kept = content.rstrip(b"\0")
            if len(content) - len(kept) > _MANY:
                info.pax_headers = {_SIZE: str(len(content))}
                content = kept
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


def unpack(archive: Path, folder: Path) -> Path:
    """The files of an archive in ``folder``, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(archive, mode="r:xz") as tar:
        members = tar.getmembers()
        tar.extractall(folder, filter="data")
    for member in members:
        if _SIZE in member.pax_headers:
            os.truncate(folder / member.name, int(member.pax_headers[_SIZE]))
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
    """A line for each key, and within it as little space as can be."""
    lines = [f"{json.dumps(key)}: {json.dumps(plain(each), ensure_ascii=False)}" for key, each in value.items()]
    path.parent.mkdir(parents=True, exist_ok=True)
    text = ("{\n" + ",\n".join(lines) + "\n}\n").encode()
    path.write_bytes(lzma.compress(text, preset=9) if path.suffix == ".xz" else text)


def read_json(path: Path) -> Any:
    raw = path.read_bytes()
    return restored(json.loads(lzma.decompress(raw) if path.suffix == ".xz" else raw))


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
        for role in sorted(items.keys() & set(encoder.roles)):
            texts = list(items[role])
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
            options.add_session_config_entry("session.x64quantprecision", "1")  # no overflow on x86 without VNNI
            session = onnxruntime.InferenceSession(folder / kept["file"], options, providers=["CPUExecutionProvider"])
            for rows, tokens in _SHAPES:
                shapes = [given.shape for given in session.get_inputs()]
                width = next((shape[1] for shape in shapes if len(shape) > 1 and isinstance(shape[1], int)), tokens)
                feed = {each["name"]: _fed(each, rows, width) for each in tower["inputs"]}
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

EITHER = "the tag a, or n not below 5"
"""A filter that is no text."""


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


def ingest(
    given: Mapping[str, Any], encoder: embedkit.Encoder, store: Any, collection: str, **options: Any
) -> list[embedkit.IngestReport]:
    """The rows as they are, then the long ones in chunks."""
    chunking = embedkit.Chunking(**given["chunking"])
    chunks = embedkit.chunked(documents(given["long"]), encoder, chunking)
    return [
        embedkit.ingest(rows, encoder, store, collection=collection, **options)
        for rows in (documents(given["plain"]), chunks)
    ]


def documents(rows: Sequence[Mapping[str, Any]]) -> list[embedkit.Document]:
    return [embedkit.Document(row["id"], row["text"], row["metadata"]) for row in rows]


def collection(store: Any, encoder: embedkit.Encoder, name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """A collection's info, its rows, and what is found in it."""
    rows = store.open(name)
    return {"info": info(rows), "rows": everything(rows), "found": found(store, encoder, name, given)}


def found(store: Any, encoder: embedkit.Encoder, name: str, given: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The hits of each question with each filter; and of a collection with several kinds of vectors, by all of them."""
    either = (embedkit.F("tag") == "a") | ~(embedkit.F("n") < 5)
    made = store.open(name).info
    hybrid: list[Any] = [None, "rrf"] if made.sparse or made.multivector else [None]
    answers = []
    for how in hybrid:
        for text in given["filters"]:
            wanted = None if text is None else either if text == EITHER else embedkit.parse_filter(text)
            several = embedkit.search(
                given["questions"], encoder, store, collection=name, k=4, filter=wanted, hybrid=how
            )
            answers.append({"filter": text, "hybrid": how, "hits": [hits(each) for each in several]})
    return answers


# Other files.

BAD = [
    {"id": "good", "text": "a text"},
    {"text": "no id"},
    {"id": "empty", "text": ""},
    {"id": "late", "text": "a text", "n": 2**70},
    {"id": "odd", "text": "a text", "when": datetime(2024, 5, 1)},
]


def bury(encoder: embedkit.Encoder, letters: Path) -> None:
    """Rows that cannot be kept, in a file of dead letters."""
    rows: list[Any] = [*BAD, {"id": "set", "text": "a text", "x": {1}}, *embedkit.FileRows(["sources/rows.jsonl"])]
    embedkit.ingest(rows, encoder, f"memory:{uuid.uuid4()}", collection="docs", dead_letters=letters)


def retried(encoder: embedkit.Encoder, letters: Path) -> dict[str, Any]:
    """What becomes of the dead letters in a new collection, once two of them were repaired; the file is changed."""
    kept = [json.loads(line) for line in letters.read_text(encoding="utf-8").splitlines()]
    for letter in kept:
        if letter["id"] == "empty":
            letter["document"]["text"] = "filled"
        if letter["id"] == "j1":
            letter["document"]["id"] = "another"
    letters.write_text("".join(json.dumps(letter) + "\n" for letter in kept), encoding="utf-8")
    with embedkit.open_store(f"memory:{uuid.uuid4()}") as store:
        report = embedkit.retry(letters, encoder, store, collection="again", metadata="coerce")
        written = everything(store.open("again"))
    counts = {name: getattr(report, name) for name in ("read", "written", "unchanged", "duplicates", "dead", "encoded")}
    left = letters.read_text(encoding="utf-8").splitlines() if letters.exists() else []
    return {"counts": counts, "rows": written, "left": [_letter(line) for line in left]}


def _letter(line: str) -> dict[str, Any]:
    """A dead letter; its reason is a sentence, which may be written better."""
    letter: dict[str, Any] = json.loads(line)
    assert letter.pop("reason")
    return letter


def read(files: Path, encoder: embedkit.Encoder) -> dict[str, Any]:
    """What is read of the files in ``sources``, as they are and in chunks; the working folder is ``files``."""
    rows = embedkit.FileRows(
        ["sources/rows.jsonl", "sources/rows.csv", "sources/rows.tsv", "sources/guide"],
        types={"when": "date"},
    )
    plain_rows = [_read(row) for row in rows]
    chunking = embedkit.Chunking(size=24, overlap=4, by="headings")
    return {
        "read": plain_rows,
        "skipped": rows.skipped,
        "chunks": [_read(row) for row in embedkit.chunked(rows, encoder, chunking)],
        "questions": ["the quiet harbour", "letters and rain", "boats"],
    }


def _read(row: Any) -> dict[str, Any]:
    if isinstance(row, embedkit.BadRow):
        assert row.reason
        return {"bad": True, "source": row.source, "line": row.line, "row": row.row, "id": row.id}
    return {"id": row.id, "text": row.text, "metadata": dict(row.metadata)}


def words(files: Path, questions: Sequence[str]) -> dict[str, Any]:
    """What the kept lexical indexes find."""
    loaded = {path.name: embedkit.LexicalIndex.load(path) for path in sorted((files / "words").iterdir())}
    return {
        name: {
            "count": len(index),
            "language": index.language,
            "stopwords": list(index.stopwords),
            "found": [list(map(list, each.items())) for each in index.search(list(questions), 5)],
        }
        for name, index in loaded.items()
    }


def quantized(files: Path, vectors: npt.NDArray[np.float32]) -> Arrays:
    """The vectors in each precision, by the kept ranges."""
    found: Arrays = {}
    for suffix in ("json", "npz"):
        ranges = embedkit.Ranges.load(files / f"ranges.{suffix}")
        for precision in ("int8", "uint8", "binary", "ubinary"):
            found[f"{suffix}/{precision}"] = np.asarray(embedkit.quantize(vectors, precision, ranges=ranges))
    return found


def saved(files: Path, kind: str) -> Any:
    """Vectors that were saved."""
    maker = embedkit.SparseVectors if kind == "sparse" else embedkit.MultiVectors
    return maker.load(files / f"{kind}.npz")
