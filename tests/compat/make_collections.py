"""The collections that `make.py` keeps, written by `embedkit.ingest` to each store that is a file or folder."""

from __future__ import annotations

import json
import multiprocessing
import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import embedkit
from compat import observed

SCHEMES = ("chroma", "lancedb", "milvus", "qdrant", "qdrant-edge", "sqlite-vec")
BUNDLE = "tiny-kinds"

_METADATA: list[Mapping[str, Any]] = [
    {"n": 1, "tag": "a", "none": None, "true": True, "false": False, "float": 1.0, "third": 1 / 3, "empty": ""},
    {"n": 2, "tag": "b", "nested": {"a": {"b": [1, None, {"c": "d"}]}}, "mixed": [1, "two", 3.0, None, True, [], {}]},
    {"n": 3, "tag": "a", "at": datetime(2024, 2, 29, 12, 30, 15, 123456, timezone(timedelta(hours=5, minutes=30)))},
    {"n": 4, "tag": "Ä", "naive": datetime(1969, 7, 20), "day": date(1, 1, 1), "list": [date(2024, 1, 1)]},
    {"n": 2**53 + 1, "tag": "a", "2**63-1": 2**63 - 1, "-2**63": -(2**63), "2**63": 2**63, "10**40": -(10**40)},
    {
        "n": -0.5,
        "tag": None,
        "tiny": 5e-324,
        "huge": 1.7976931348623157e308,
        "inf": float("inf"),
        "nan": [float("nan")],
    },
    {"n": 7, "a.b": 1, "a": {"b": 2}, "$and": 3, "id": 4, "text": "t", "ключ": "значение", "'\"`\\": "'\"`\\", "": " "},
    {},
]
_IDS = ["row/1 🎉", "2", "é", "e\u0301", "../up", 'it\'s "odd"', "x" * 300, "8"]
_TEXTS = [
    "the boat in the quiet harbour",
    "bread",
    "héllo 日本語 🎉",
    "a report of rain in the north",
    "letters, and more letters",
    "nul \0 tab \t new\nline",
    "rain",
    "the quiet harbour " * 20,
]
_LONG = [
    {
        "id": "long",
        "text": "The boat left in the morning. It rained in the north.\n\nThe report of the harbour says little. "
        "Bread was sold at the quay, and letters were read. 日本語 🎉.",
        "metadata": {"n": 20, "source": "elsewhere", "at": datetime(2024, 5, 1, tzinfo=UTC)},
    }
]
QUESTIONS = ["the quiet harbour", "rain in the north", "bread", "🎉"]
FILTERS = [None, "n>=3", 'tag=="a"', "none exists", 'tag not in ["b","Ä"]', observed.EITHER]


def make_rows(work: Path) -> None:
    """What is written to every store, and asked of it."""
    rows = [
        {"id": row_id, "text": text, "metadata": metadata}
        for row_id, text, metadata in zip(_IDS, _TEXTS, _METADATA, strict=True)
    ]
    told = {
        "bundle": BUNDLE,
        "plain": rows,
        "long": _LONG,
        "chunking": {"size": 40, "overlap": 8},
        "questions": QUESTIONS,
        "filters": FILTERS,
    }
    observed.write_json(observed.here() / "stores" / "rows.json", told)


def make_store(scheme: str, work: Path) -> None:
    """A store in a folder, written by a process that has ended when the folder is packed."""
    bundle = observed.unpack(observed.here() / "bundles" / f"{BUNDLE}.tar.xz", work / "bundle")
    place = work / "place"
    place.mkdir()
    child = multiprocessing.get_context("spawn").Process(target=_write, args=(scheme, bundle, place))
    child.start()
    child.join()
    assert child.exitcode == 0, scheme
    for lock in place.rglob("*.lock"):
        _unname(lock)
    for path in place.rglob("*"):  # what is published tells nothing of the machine
        found = path.read_bytes() if path.is_file() else b""
        for word in (socket.gethostname(), str(work)):
            assert word.encode() not in found, f"{path} holds {word!r}"
    target = observed.here() / "stores" / f"{scheme}.tar.xz"
    observed.pack(place, target)


def _write(scheme: str, bundle: Path, place: Path) -> None:
    given = observed.read_json(observed.here() / "stores" / "rows.json")
    encoder = observed.load(bundle)
    os.chdir(place)
    with embedkit.open_store(f"{scheme}:index") as store:
        caps = store.caps
        kinds = ["dense", *(kind for kind in ("sparse", "multivector") if getattr(caps, kind))]
        observed.ingest(given, encoder, store, "docs ü", outputs=["dense"])
        if len(kinds) > 1:
            observed.ingest(given, encoder, store, "kinds", outputs=kinds)
        for metric in sorted(caps.metrics - {"cosine"}):
            observed.ingest(given, encoder, store, metric, metric=metric, outputs=["dense"])
        told = {name: observed.collection(store, encoder, name, given) for name in store.names()}
    observed.write_json(observed.here() / "stores" / f"{scheme}.json.xz", told)


def _unname(lock: Path) -> None:
    """A note of who wrote, without the name of the machine."""
    with suppress(ValueError, TypeError):
        lock.write_text(json.dumps(json.loads(lock.read_text()) | {"process": 1, "host": "elsewhere"}))
