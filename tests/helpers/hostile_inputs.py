"""Public functions and commands given what nobody means: only embedkit's own errors may come of it. As a program:

python -m helpers.hostile_inputs SECONDS SEED
"""

# ruff: noqa: E501 (a call is one line of its table)
from __future__ import annotations

import collections
import contextlib
import datetime
import decimal
import io
import itertools
import json
import math
import os
import random
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import click
import numpy as np
from click.testing import CliRunner

import embedkit
from embedkit import Document, EmbedkitError, Encoder, F, FileRows, IngestInterrupted
from embedkit.cli.entry import app
from embedkit.evaluation import Texts, evaluate
from embedkit.ingestion import dedupe, estimate, info
from embedkit.testing.samples import text_batch
from embedkit.testing.tiny import tiny_bundle
from helpers.mutations import NUMBERS, STRINGS, changed_bytes

WORDS = [text for text in STRINGS if "/" not in text and len(text) < 1000]
"""Strings that lead out of no folder."""
MOMENTS = [
    *(
        datetime.datetime.min,
        datetime.datetime.max,
        datetime.date(1, 1, 1),
        datetime.timedelta(days=1),
        datetime.time(1),
    ),
    *(datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC), np.datetime64("NaT"), np.timedelta64(1, "s")),
]
OBJECTS: list[Callable[[], Any]] = [
    *(
        lambda: None,
        lambda: True,
        object,
        lambda: b"\xff\0",
        lambda: bytearray(b"a"),
        lambda: {1, 2},
        lambda: frozenset({"a"}),
    ),
    *(
        lambda: 1j,
        lambda: decimal.Decimal("NaN"),
        lambda: range(3),
        lambda: iter("ab"),
        lambda: (x for x in ()),
        lambda: len,
    ),
    *(
        lambda: int,
        lambda: ...,
        lambda: Path("nowhere"),
        lambda: io.StringIO("a"),
        lambda: Exception("a"),
        lambda: [[["a"]]],
    ),
    *(
        lambda: {"id": "a", "text": "b"},
        lambda: {1: 2},
        lambda: {"a": object()},
        lambda: ["a", 1, None],
        list,
        dict,
        tuple,
    ),
    *(
        lambda: F("a") == 1,
        lambda: Document("a", "b"),
        lambda: np.float32("nan"),
        lambda: np.array("a"),
        lambda: np.str_("a"),
    ),
]
ARRAYS: list[Callable[[], Any]] = [
    *(
        lambda: np.zeros((2, 8)),
        lambda: np.zeros((0, 8)),
        lambda: np.zeros(8),
        lambda: np.zeros((2, 3, 8)),
        lambda: np.array(1.0),
    ),
    *(
        lambda: np.full((2, 8), np.nan),
        lambda: np.full((2, 8), 1e300),
        lambda: np.ones((2, 8), int),
        lambda: np.ones((2, 8), bool),
    ),
    *(
        lambda: np.array([["a"] * 8]),
        lambda: np.array([[object()] * 8]),
        lambda: np.ones((2, 8), complex),
        lambda: np.ones((2, 7)),
    ),
    *(
        lambda: [[1.0] * 8, [1.0] * 7],
        lambda: np.array([1, 2], np.uint64) << np.uint64(63),
        lambda: np.array(MOMENTS[6]),
    ),
    *(
        lambda: np.ones((2, 1), np.uint8),
        lambda: np.ones((2, 8), np.int8),
        lambda: np.ma.masked_array([[1.0] * 8], mask=True),
    ),
]
URLS = [
    *(
        "memory:",
        "memory://",
        "nope:x",
        ":",
        "",
        "memory:?a=b",
        "memory:x#y",
        "http://[",
        "chroma",
        "qdrant://h:99999/x",
        "//",
        "a://b:c",
    ),
    *(
        "memory:%",
        "memory:%zz",
        "pgvector://",
        "chroma://",
        "qdrant://:0",
        "sqlite-vec:",
        "lancedb:\ud800",
        "memory:\0",
        "~",
        "C:\\x",
        "é:x",
    ),
]


GOOD = tuple({"id": str(i), "text": f"text {i}", "n": i} for i in range(4))
STORED = ("duckdb:kept.duckdb", "sqlite-vec:kept.db")
"""Stores in which a collection is kept from one call to the next."""


def value(rng: random.Random) -> Any:
    """Anything."""
    kind = rng.randrange(6)
    if kind == 0:
        return rng.choice(NUMBERS)
    if kind == 1:
        return rng.choice(WORDS)
    if kind == 2:
        return rng.choice(MOMENTS)
    if kind == 3:
        return rng.choice(ARRAYS)()
    if kind == 4:
        return [value(rng) for _ in range(rng.randrange(3))]
    return rng.choice(OBJECTS)()


def row(rng: random.Random) -> Any:
    """Something like a row."""
    if rng.random() < 0.2:
        return value(rng)
    given: dict[Any, Any] = {"id": f"{rng.randrange(9)}", "text": "some text"}
    for name in rng.sample(["id", "text", "metadata", "a", "", "b.c", 7], 2):
        given[name] = value(rng)
    if rng.random() < 0.2:
        return Document(given["id"], given["text"], given.get("metadata", {"a": value(rng)}))
    return given


def consumed(found: Any) -> None:
    """Read what a call gives, if it is given little by little."""
    if isinstance(found, Iterator):
        for _ in found:
            pass


class Calls:
    """What is called, with keywords that it takes; any of these are replaced."""

    def __init__(self, folder: Path) -> None:
        self.bundle = str(tiny_bundle(folder / "bundle", kinds=("dense", "sparse", "multivector")))
        self.encoder = Encoder.load(self.bundle, variant="fp32", engine="onnxruntime", threads=1, on_truncate="ignore")
        self.folder = folder
        self.file = folder / "rows.jsonl"
        self.store = embedkit.open_store("memory:")

    def made(self, rng: random.Random) -> tuple[str, Callable[..., Any], dict[str, Any]]:
        """One call with its usual keywords."""
        encoder, k = self.encoder, rng.randrange(1, 3)
        rows = [row(rng) for _ in range(3)]
        good = list(GOOD)
        self.file.write_text("".join(json.dumps(each) + "\n" for each in good))
        store = embedkit.open_store("memory:")
        embedkit.ingest(good, encoder, store, collection="hostile", dead_letters=self.folder / "good.jsonl")
        at = store.open("hostile")
        vectors = np.ones((2, 8), np.float32)
        many = embedkit.MultiVectors.of([vectors])
        few = embedkit.SparseVectors.of(vectors)
        place = {"encoder": encoder, "store": store, "collection": "hostile"}
        letters = {"dead_letters": self.folder / "dead.jsonl"}
        calls: list[tuple[str, Callable[..., Any], dict[str, Any]]] = [
            (
                "encode",
                encoder.encode,
                {
                    "texts": ["a"],
                    "role": "query",
                    "dim": 8,
                    "precision": "binary",
                    "ranges": None,
                    "output": "dense",
                    "on_truncate": "warn",
                },
            ),
            (
                "encode_query",
                encoder.encode_query,
                {"texts": "a", "precision": "int8", "ranges": [[0.0] * 8, [1.0] * 8]},
            ),
            ("encode_outputs", encoder.encode_outputs, {"texts": ["a"], "role": "query", "outputs": ["dense"]}),
            (
                "stream",
                encoder.stream,
                {"texts": ["a"], "role": "query", "dim": None, "precision": "float16", "output": None},
            ),
            ("encoder.similarity", encoder.similarity, {"a": vectors, "b": vectors}),
            (
                "Encoder.load",
                Encoder.load,
                {
                    "path": self.bundle,
                    "variant": "fp32",
                    "device": "cpu",
                    "engine": "onnxruntime",
                    "threads": 1,
                    "token_budget": 64,
                    "on_truncate": "warn",
                },
            ),
            ("Bundle.open", embedkit.Bundle.open, {"folder": self.bundle}),
            ("verify", embedkit.verify, {"path": self.bundle, "variants": ["fp32"], "device": "cpu"}),
            ("similarity", embedkit.similarity, {"a": vectors, "b": vectors, "fn": "dot"}),
            (
                "quantize",
                embedkit.quantize,
                {"vectors": vectors, "precision": "int8", "ranges": [[0.0] * 8, [1.0] * 8]},
            ),
            ("fit_ranges", embedkit.fit_ranges, {"vectors": vectors}),
            ("isotropy", embedkit.isotropy, {"vectors": vectors}),
            ("SparseVectors.of", embedkit.SparseVectors.of, {"dense": vectors, "top": 2}),
            ("SparseVectors", embedkit.SparseVectors, {"offsets": [0, 1], "indices": [2], "values": [1.0], "dim": 4}),
            ("MultiVectors.of", embedkit.MultiVectors.of, {"texts": [vectors], "dim": 8}),
            ("MultiVectors", embedkit.MultiVectors, {"offsets": [0, 2], "values": vectors}),
            ("maxsim", many.maxsim, {"other": many}),
            ("sparse dot", few.dot, {"other": few}),
            (
                "parse_filter",
                embedkit.parse_filter,
                {
                    "text": rng.choice(
                        ["a == 1", "a in [1, 2", "not (", "a.b >= '2020-01-01' and", "a == " + "(" * 300, *WORDS]
                    )
                },
            ),
            ("open_store", embedkit.open_store, {"url": rng.choice(URLS)}),
            (
                "ingest",
                embedkit.ingest,
                {"documents": rows, **place, "metadata_policy": rng.choice(["strict", "coerce", "json"]), **letters},
            ),
            (
                "ingest options",
                embedkit.ingest,
                {
                    "documents": good,
                    **place,
                    "role": "document",
                    "metric": "cosine",
                    "window": 2,
                    "sync": False,
                    "filter": None,
                    "outputs": ["dense"],
                    **letters,
                },
            ),
            ("ingest, its letters here", embedkit.ingest, {"documents": good, **place}),
            (
                "ingest, kept otherwise",
                embedkit.ingest,
                {
                    "documents": good,
                    **place,
                    "collection": "kept",
                    **letters,
                    "dim": 4,
                    "any_dim": True,
                    "precision": rng.choice(["float32", "int8", "binary"]),
                    "index": {},
                },
            ),
            ("info", info, {"store": store, "collection": "hostile", "sample": 3}),
            (
                "dedupe",
                dedupe,
                {"store": store, "collection": "hostile", "threshold": 0.9, "filter": None, "delete": False},
            ),
            (
                "migrate",
                embedkit.migrate,
                {
                    **place,
                    "role": "document",
                    "dim": 4,
                    "any_dim": True,
                    "precision": None,
                    "index": None,
                    "vectors": 1,
                    **letters,
                },
            ),
            ("switch", store.switch, {"name": "led", "collection": "hostile"}),
            ("switch back", store.switch_back, {"name": "hostile"}),
            ("check", embedkit.check, {"documents": rows, **place, "vectors": 1, "filter": F("n") > 0}),
            (
                "copy",
                embedkit.copy,
                {
                    "source": store,
                    "target": embedkit.open_store("memory:"),
                    "collection": "hostile",
                    "name": "b",
                    "filter": None,
                },
            ),
            (
                "search",
                embedkit.search,
                {
                    "query": "a",
                    **place,
                    "k": k,
                    "offset": 0,
                    "filter": F("n") > 0,
                    "min_score": 0.0,
                    "diversity": 0.0,
                    "candidates": None,
                    "rescore": False,
                    "lexical": None,
                    "rerank": None,
                    "rerank_top": None,
                },
            ),
            (
                "hybrid",
                embedkit.search,
                {"query": ["a", "b"], **place, "k": k, "hybrid": "rrf", "weights": {"dense": 1.0}},
            ),
            (
                "chunked",
                lambda **given: list(embedkit.chunked(**given)),
                {"documents": rows, "encoder": encoder, "chunking": embedkit.Chunking(9)},
            ),
            ("Chunking", embedkit.Chunking, {"size": 9, "overlap": 2, "by": "sentences"}),
            (
                "FileRows",
                lambda **given: list(FileRows(**given)),
                {
                    "paths": [str(self.file)],
                    "id_field": "id",
                    "text_field": "text",
                    "metadata_fields": None,
                    "id_from": None,
                    "types": {"n": "int"},
                    "format": "jsonl",
                },
            ),
            ("store.open", store.open, {"name": "hostile", "metadata_policy": "strict"}),
            ("store.drop", store.drop, {"name": "other"}),
            ("get", at.get, {"ids": ["0", "x"], "with_vectors": True}),
            ("hashes", at.hashes, {"ids": ["0", "x"]}),
            ("upsert", at.upsert, {"batch": text_batch(["a"], vectors=vectors[:1])}),
            ("pages", lambda **given: list(at.pages(**given)), {"filter": None, "size": 2}),
            (
                "ensure",
                store.ensure,
                {"spec": embedkit.CollectionSpec("b", 8), "if_exists": "validate", "metadata_policy": "json"},
            ),
            ("CollectionSpec", embedkit.CollectionSpec, {"name": "b", "dim": 8, "metric": "dot", "fingerprint": "f"}),
            ("delete", at.delete, {"ids": ["0"]}),
            ("delete by", at.delete, {"filter": F("n") == 1}),
            ("query", at.query, {"vectors": vectors, "k": k, "filter": F("n") > 1}),
            ("query_sparse", at.query_sparse, {"vectors": embedkit.SparseVectors.of(vectors), "k": k}),
            ("scan", at.scan, {"filter": None, "cursor": None, "limit": 3}),
            ("count", at.count, {"filter": F("n") > 1}),
            (
                "filter",
                lambda **given: at.count(F(given["name"]).is_in(given["values"]) | (F("n") < given["value"])),
                {"name": "n", "values": [1], "value": 2},
            ),
            ("LexicalIndex.of", embedkit.LexicalIndex.of, {"documents": at.records(), "language": None}),
            (
                "LexicalIndex.build",
                embedkit.LexicalIndex.build,
                {"store": store, "collection": "hostile", "language": None, "stopwords": ["a"]},
            ),
            ("estimate", estimate, {"documents": good, **place, "sync": False, "filter": None}),
            ("retry", embedkit.retry, {"letters": self.folder / "no.dead.jsonl", **place, "fields": None}),
            ("ingest_table", embedkit.ingest_table, {**place, "table": "items", "metric": None}),
            ("AsyncEncoder", embedkit.AsyncEncoder, {"encoder": encoder, "max_queue": 3}),
            ("Reranker", embedkit.Reranker, {"encoder": encoder}),
            ("Classifier", embedkit.Classifier, {"encoder": encoder}),
            (
                "evaluate",
                evaluate,
                {
                    "task": Texts("t", ("a", "b", "c"), "document"),
                    "encoders": {"e": encoder},
                    "resamples": 9,
                    "seed": 0,
                    "confidence": 0.9,
                },
            ),
        ]
        return rng.choice(calls)


COMMANDS: list[list[Any]] = [
    ["encode", "BUNDLE", "a text", "--role", "query", "--dim", "8", "--precision", "float16", "--output", "out.npy"],
    ["encode", "BUNDLE", "--input", "FILE", "--output", "out.npy", "--variant", "fp32", "--device", "cpu", "--engine", "onnxruntime"],
    ["encode", "BUNDLE", "a", "--precision", "int8", "--ranges", "FILE", "--output", "out.npy"],
    ["inspect", "BUNDLE", "--engine", "onnxruntime", "--json"],
    ["verify", "BUNDLE", "--variant", "fp32", "--device", "cpu"],
    ["stores", "--json"],
    ["ingest", "BUNDLE", "FILE", "--store", "URL", "--collection", "hostile", "--format", "jsonl", "--quiet"],
    ["ingest", "BUNDLE", "FILE", "--store", "URL", "--collection", "hostile", "--id-field", "id", "--text-field", "text", "--type", "n=int", "--metadata-fields", "n,a"],
    ["ingest", "BUNDLE", "FILE", "--store", "URL", "--collection", "hostile", "--chunk", "20", "--overlap", "3", "--chunk-by", "tokens", "--metadata", "coerce"],
    ["ingest", "BUNDLE", "FILE", "--store", "URL", "--collection", "hostile", "--id-from", "text", "--dry-run", "--metric", "cosine"],
    ["sync", "BUNDLE", "FILE", "--store", "URL", "--collection", "hostile", "--filter", "n > 1"],
    ["check", "BUNDLE", "FILE", "--store", "URL", "--collection", "hostile", "--filter", "n > 1"],
    ["retry", "BUNDLE", "FILE", "--store", "URL", "--collection", "hostile"],
    ["search", "BUNDLE", "a question", "--store", "URL", "--collection", "hostile", "--k", "3", "--filter", "n > 1", "--json"],
    ["copy", "URL", "URL", "--collection", "hostile"],
    ["ingest", "BUNDLE", "FILE", "--store", "STORED", "--collection", "kept", "--dim", "4", "--any-dim", "--precision", "int8", "--outputs", "dense", "--quiet"],
    ["ingest", "BUNDLE", "FILE", "--store", "STORED", "--collection", "kept", "--precision", "binary+full", "--index", "m=8,ef=20", "--outputs", "dense"],
    ["search", "BUNDLE", "a question", "--store", "STORED", "--collection", "hostile", "--json"],
    ["info", "STORED", "--collection", "hostile", "--sample", "3", "--json"],
    ["info", "STORED"],
    ["dedupe", "STORED", "--collection", "hostile", "--threshold", "0.9", "--filter", "n > 1", "--delete"],
    ["migrate", "STORED", "--collection", "hostile", "--to", "BUNDLE", "--dim", "4", "--any-dim", "--precision", "int8"],
    ["migrate", "STORED", "--collection", "hostile", "--back"],
    ["migrate", "STORED", "--collection", "hostile", "--finish"],
    ["similar", "STORED", "1", "--collection", "hostile", "--unlike", "2", "--json"],
    ["load-table", "BUNDLE", "--store", "URL", "--collection", "hostile", "--table", "items"],
    ["rerank", "BUNDLE", "a question", "FILE"],
    ["classify", "BUNDLE", "a", "--json"],
    ["eval", "BUNDLE", "--texts", "FILE"],
]  # fmt: skip
FILES = [
    b'{"id": "1", "text": "a", "n": 1}\n{"id": "2", "text": "b"}\n',
    b"id,text,n\n1,a,2\n2,b,\n",
    b"# Title\n\n---\nfoo: [\n---\ntext\n",
    b"<html><title>a</title><meta charset=x-none><p>text",
    b"\xff\xfea\0b\0\n\0",
    b"",
    b'{"id": 1e400, "text": ["a"]}\n[1]\nnull\n"x"\n{\n',
    b"PAR1\0\0\0\0PAR1",
    b"\x1f\x8b\x08\0\0",
]
SUFFIXES = [
    ".jsonl",
    ".csv",
    ".tsv",
    ".md",
    ".html",
    ".txt",
    ".parquet",
    ".arrow",
    ".jsonl.gz",
    ".json",
    "",
    ".csv.zst",
    ".zip",
]


def command(calls: Calls, rng: random.Random) -> tuple[str, list[str]]:
    """A command line, of which an option or two, its file or its store is what nobody means."""
    given = [str(part) for part in rng.choice(COMMANDS)]
    raw = rng.choice(FILES)
    file = Path(f"rows{rng.randrange(3)}{rng.choice(SUFFIXES)}")
    file.write_bytes(changed_bytes(raw, rng) if rng.random() < 0.5 else raw)
    urls = ["memory:", "memory:"] if rng.random() < 0.6 else [rng.choice(URLS), rng.choice(URLS)]
    words = {"BUNDLE": calls.bundle, "FILE": str(file), "STORED": rng.choice(STORED)}
    line = [words.get(part, urls.pop() if part == "URL" and urls else part) for part in given]
    for _ in range(rng.randrange(2)):
        place = rng.randrange(1, len(line))
        if not line[place].startswith("--"):
            line[place] = rng.choice([*WORDS, *(str(number) for number in NUMBERS if number != 10**400)])
    return given[0], [part.replace("\0", "") for part in line]


def tried(call: Callable[[], Any]) -> BaseException | None:
    """What is raised that is no error of embedkit's and no usage that click refuses."""
    try:
        with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            consumed(call())
    except (EmbedkitError, IngestInterrupted, click.ClickException, click.exceptions.Exit):
        return None
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        return error
    return None


def told(name: str, given: object, error: BaseException) -> tuple[str, str]:
    """What was raised, with its place in embedkit, and what raised it."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if f"{os.sep}embedkit" in frame.filename]
    place = f"{frames[-1].filename.rpartition('embedkit' + os.sep)[2]}:{frames[-1].lineno}" if frames else "?"
    return f"{name}: {type(error).__name__} at {place}", f"{error!s:.100} | {given!r:.300}"


def search(folder: Path, seeds: Iterable[int], *, until: float = math.inf) -> dict[str, list[str]]:
    """What left the calls of these seeds, by its place; in ``folder``, which is the working folder meanwhile."""
    calls = Calls(folder)
    work = folder / "deep" / "work"
    work.mkdir(parents=True)
    found: dict[str, list[str]] = collections.defaultdict(list)
    with contextlib.chdir(work):
        for url in STORED:
            embedkit.ingest(
                GOOD, calls.encoder, url, collection="hostile", outputs=["dense"], dead_letters=folder / "kept.jsonl"
            )
        for seed in seeds:
            if time.monotonic() > until:
                break
            rng = random.Random(seed)
            if rng.random() < 0.3:
                name, line = command(calls, rng)
                error = tried(
                    lambda line=line: CliRunner().invoke(app, line, catch_exceptions=False, standalone_mode=False)
                )  # type: ignore[misc]
                given: object = line
            else:
                name, function, keywords = calls.made(rng)
                usual: Mapping[str, Any] = dict(keywords)
                for key in rng.sample(list(keywords), min(len(keywords), rng.choice([1, 1, 2]))):
                    if rng.random() < 0.9 or name not in ("ingest", "open_store", "parse_filter"):
                        keywords[key] = value(rng)
                given = {key: each for key, each in keywords.items() if each is not usual[key]} or keywords
                error = tried(lambda function=function, keywords=keywords: function(**keywords))  # type: ignore[misc]
            if error is not None:
                where, what = told(name, given, error)
                found[where].append(f"seed {seed}: {what}")
    return found


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        ended = time.monotonic() + float(sys.argv[1])
        first = int(sys.argv[2])
        seeds = itertools.count(first)
        for where, examples in sorted(search(Path(place), seeds, until=ended).items()):
            print(f"{len(examples):5}  {where}\n         {examples[0]}")
        print(f"{next(seeds) - first - 1} calls")
